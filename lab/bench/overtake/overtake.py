"""Overtaking: an Extreme while an alert to a million is in flight, beside the same on idle workers.

What is judged is when the provider took each message, by the provider's own log, in seconds from
the submission. The alternative does the same with a Celery task a message and Celery's priorities,
scaled down to what it can do in the time.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from alerting.domain.alert import Severity
from alerting.embedded.processes import GROUPS
from lab.bench.overtake import many
from lab.bench.overtake.baseline import fly_baseline
from lab.bench.overtake.many import Many
from lab.bench.overtake.subject import Flight, Flown, Passage, fly
from lab.bench.report import Options, Report, Table, Target

#: Everything by one group of workers: no process is kept free for grave lanes.
ONE_GROUP = {"all": ",".join(GROUPS.values())}

OURS, ALL, EACH = "ours", "ours, one group for all lanes", "a Celery task a message, priorities"
#: The alert in flight is as grave as those that overtake it.
SAME = "ours, beside an Extreme"

FULL = {
    OURS: Flight(1_000_000, 10_000, 2, (1_000, 40_000, 120_000), 1),
    SAME: Flight(1_000_000, 10_000, 1, (1_000, 40_000), 1, Severity.EXTREME),
    ALL: Flight(200_000, 10_000, 1, (1_000, 30_000), 1),
    EACH: Flight(20_000, 3_000, 1, (500, 2_000), 1),
}
QUICK = {
    OURS: Flight(6_000, 150, 1, (200,), 0),
    EACH: Flight(600, 60, 1, (30,), 0),
}


def run(options: Options) -> Report:
    """Fly them all, then measure many alerts at once; only two ways and no more when quick. Takes
    about twenty minutes.

    Raises WorkFailed where a message is missing or doubled, in the provider's log or in the
    ledger, or where nothing was left in flight to be overtaken.
    """
    flights = QUICK if options.quick else FULL
    flown = {}
    for way, groups in ((OURS, GROUPS), (SAME, GROUPS), (ALL, ONE_GROUP)):
        if way in flights:
            options.say(f"{way}:")
            flown[way] = asyncio.run(fly(flights[way], groups, options.say))
    options.say(f"{EACH}:")
    passages = {way: f.passages for way, f in flown.items()}
    passages[EACH] = fly_baseline(flights[EACH], options.say)
    together = Many([], [])
    if not options.quick:
        options.say("many alerts at once:")
        together = many.measure(many.FULL, options.say)
    return _report(flights, flown, passages, together)


def at(passage: Passage, share: float) -> float:
    """When this share of the messages had been taken."""
    return passage.taken_s[min(len(passage.taken_s) - 1, int(len(passage.taken_s) * share))]


def ratio(passages: Sequence[Passage]) -> float:
    """The loaded p99 beside the idle one, each the median of its rounds."""
    loaded, idle = (
        statistics.median(at(p, 0.99) for p in passages if p.loaded is which)
        for which in (True, False)
    )
    return loaded / idle


def _report(
    flights: dict[str, Flight],
    flown: dict[str, Flown],
    passages: dict[str, list[Passage]],
    together: Many,
) -> Report:
    ours = passages[OURS]
    flight = flights[OURS]
    rows = [
        _row(way, loaded, [p for p in several if p.loaded is loaded], ratio(several))
        for way, several in passages.items()
        for loaded in (False, True)
    ]
    return Report(
        tables=[
            Table(
                f"An Extreme to {flight.grave:,} while {flight.light:,} others are in flight; "
                "seconds from its submission",
                ("way", "workers", "first", "half", "p99", "last", "p99 beside idle", "others/s"),
                rows,
            ),
            Table(
                "Alerts beside slow ones; seconds to the last message, medians",
                ("alert", "alone", "beside", "beside alone"),
                [
                    (
                        row.what,
                        f"{statistics.median(row.alone_s):.2f}",
                        f"{statistics.median(row.beside_s):.2f}",
                        f"{row.ratio:.2f}×",
                    )
                    for row in together.beside
                ],
            ),
        ],
        targets=[
            Target(
                "to the first attempt, the slowest round",
                0.3,
                max(at(p, 0) for p in ours if p.loaded),
                at_most=True,
                unit="s",
            ),
            Target("p99 loaded beside idle", 1.3, ratio(ours), at_most=True, unit="×"),
            *_of_the_same(passages.get(SAME, [])),
            *(Target(row.what, 1.3, row.ratio, at_most=True, unit="×") for row in together.beside),
            *(
                Target(
                    f"{len(together.first_s)} alerts at once: to the slowest's first attempt",
                    2,
                    first_s,
                    at_most=True,
                    unit="s",
                )
                for first_s in sorted(together.first_s)[-1:]
            ),
        ],
        figures={
            "ways": {way: [_json(p) for p in several] for way, several in passages.items()},
            "sizes": {way: {"light": f.light, "grave": f.grave} for way, f in flights.items()},
            "reached_before_cancel": {way: f.light for way, f in flown.items()},
            "beside": {
                row.what: {"alone_s": row.alone_s, "beside_s": row.beside_s}
                for row in together.beside
            },
            "first_s": together.first_s,
        },
        notes=[
            *(
                f"{way}: the light alert had reached {f.light:,} of {flights[way].light:,} when "
                f"it was cancelled; all {f.notices:,} were told of that, once."
                for way, f in flown.items()
            ),
            f"{EACH}: celery {version('celery')}, kombu {version('kombu')}, twilio "
            f"{version('twilio')}, eight processes, prefetch 1, priority_steps 0 3 6 9; scaled to "
            f"Extremes of {flights[EACH].grave:,} over a backlog of {flights[EACH].light:,}, so "
            "compare its ratio, not its seconds.",
            "Two worker processes a group. first, half, p99, last: medians over the rounds, with "
            "the spread of p99. others/s: what the provider took of the light alert meanwhile.",
        ],
    )


def _of_the_same(passages: Sequence[Passage]) -> list[Target]:
    if not passages:
        return []
    first = max(at(p, 0) for p in passages if p.loaded)
    what = "an Extreme beside an Extreme"
    return [
        Target(f"{what}: to the first attempt", 0.5, first, at_most=True, unit="s"),
        Target(f"{what}: p99 to idle", 2, ratio(passages), at_most=True, unit="×"),
        *(
            Target("a Cancel beside an Extreme: to the first", 1, p.cancel_s[0], True, "s")
            for p in passages
            if p.cancel_s
        ),
    ]


def _row(way: str, loaded: bool, several: Sequence[Passage], beside_idle: float) -> tuple[str, ...]:
    p99 = [at(p, 0.99) for p in several]
    spread = f" ({min(p99):.2f}–{max(p99):.2f})" if len(p99) > 1 else ""
    return (
        way,
        "loaded" if loaded else "idle",
        f"{statistics.median(at(p, 0) for p in several):.2f}",
        f"{statistics.median(at(p, 0.5) for p in several):.2f}",
        f"{statistics.median(p99):.2f}{spread}",
        f"{statistics.median(at(p, 1) for p in several):.2f}",
        f"{beside_idle:.2f}×" if loaded else "",
        f"{statistics.median(p.beside for p in several):,.0f}" if loaded else "",
    )


def _json(p: Passage) -> dict[str, Any]:
    shares = {"first_s": 0.0, "p50_s": 0.5, "p90_s": 0.9, "p99_s": 0.99, "last_s": 1.0}
    return {
        "loaded": p.loaded,
        **{name: round(at(p, share), 3) for name, share in shares.items()},
        "every_twentieth_s": [round(at(p, n / 20), 3) for n in range(21)],
        "others_per_s": round(p.beside),
        **({"cancel_first_s": round(p.cancel_s[0], 3)} if p.cancel_s else {}),
    }
