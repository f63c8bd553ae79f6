"""Alerts of made-up senders, for tests of which alerts speak of one event."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from alert_examples import AT, alert, info

from alerting.domain.alert import Alert, Area, Category, NamedValue, Polygon

DISTRICT = Area("Harbour", geocodes=(NamedValue("district", "7"),))


def report(
    event: str,
    text: str,
    *,
    minutes: float = 0,
    hours_valid: float = 6,
    sender: str = "fire@example.org",
    area: Area = DISTRICT,
    category: Category = Category.FIRE,
    language: str = "en",
) -> Alert:
    """An alert with this text, some minutes after the first of the day."""
    sent = AT + timedelta(minutes=minutes)
    said = info(
        event=event,
        headline=event,
        description=text,
        categories=(category,),
        event_codes=(),
        parameters=(),
        areas=(area,),
        language=language,
        expires=sent + timedelta(hours=hours_valid),
    )
    return alert(said, identifier=f"{sender}-{minutes}", sender=sender, sent=sent)


def shaped(name: str, *polygons: Polygon) -> Area:
    return Area(name, polygons=polygons)


_STREETS = ["Mill", "Oak", "Queen", "Station", "Church", "Harbour", "Bridge", "Garden"]
_STREETS += ["North", "Well", "Castle", "River"]
_KINDS = ["House fire", "Vehicle fire", "Rubbish fire"]
_FOUND = [
    "smoke from the roof",
    "flames in the kitchen",
    "a burning car under a shed",
    "bins alight beside a wall",
    "a fire in the cellar",
]
_CREWS = "Engines 71, 72 and 73 attending. Duty officer available on 0800 5550100."


def fires(count: int, seed: int) -> Iterator[tuple[Alert, int]]:
    """Incidents of one fire service in one district, each with up to three follow-ups.

    What names an incident is a case number and a house in a street; all else is said of all.
    Yields (alert, number of the incident) in the order sent.
    """
    rng = random.Random(seed)
    said: list[tuple[float, str, str, int]] = []
    for no in range(count):
        start = rng.uniform(0, count * 90)
        case, house = rng.randrange(10_000, 99_999), rng.randrange(1, 400)
        place = f"{house} {rng.choice(_STREETS)} Street"
        kind = rng.choice(_KINDS)
        said.append((start, kind, f"Case {case}, {place}: {rng.choice(_FOUND)}. {_CREWS}", no))
        for step in range(rng.randrange(4)):
            at = start + 20 * (step + 1) + rng.random()
            crew = rng.randrange(6, 60)
            text = f"Case {case}, {place}: {crew} firefighters at work, no injuries. {_CREWS}"
            said.append((at, f"{kind}, further report", text, no))
    for at, event, text, no in sorted(said):
        yield report(event, text, minutes=round(at, 3)), no


_ROADS = ["A1", "A3", "A8", "A44", "B9", "B27"]
_PLACES = ["Altdorf", "Neustadt", "Lindau", "Bergheim", "Kirchen", "Rosenau", "Steinfeld", "Waldau"]
_CAUSES = ["Unfall mit zwei Lkw", "liegengebliebenes Fahrzeug", "Ölspur", "brennender Pkw"]
_COUNTRY = Area("Musterland", geocodes=(NamedValue("land", "01"),))


def jams(count: int, seed: int) -> Iterator[tuple[Alert, int]]:
    """Traffic reports of one country in German, without any number that names an incident."""
    rng = random.Random(seed)
    said: list[tuple[float, str, int]] = []
    for no in range(count):
        start = rng.uniform(0, count * 10)
        first, second = rng.sample(_PLACES, 2)
        where = f"{rng.choice(_ROADS)} {first} Richtung {second}, km {rng.randrange(1, 400)}"
        cause = rng.choice(_CAUSES)
        for step in range(rng.randrange(1, 4)):
            delay = rng.randrange(5, 90)
            text = f"{where}: {cause}, {delay} Minuten Verzögerung. Bitte Rettungsgasse bilden."
            said.append((start + 15 * step + rng.random(), text, no))
    for at, text, no in sorted(said):
        yield (
            report(
                "Verkehrsstörung",
                text,
                minutes=round(at, 3),
                hours_valid=2,
                sender="verkehr@example.org",
                area=_COUNTRY,
                category=Category.TRANSPORT,
                language="de",
            ),
            no,
        )


def copied(one: Alert, *, minutes: float, **changes: object) -> Alert:
    """The same alert sent again under another name, with these changes to its info."""
    sent = one.sent + timedelta(minutes=minutes)
    again = replace(one, identifier=f"{one.identifier}-again", sent=sent)
    infos = tuple(
        replace(i, expires=i.expires and i.expires + timedelta(minutes=minutes), **changes)  # type: ignore[arg-type]
        for i in one.infos
    )
    return replace(again, infos=infos)
