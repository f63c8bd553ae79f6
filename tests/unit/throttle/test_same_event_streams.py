"""Grouping of streams of alerts that do not refer to one another, judged against the truth."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from event_examples import fires, jams
from sizes import size

from alerting.cap import read
from alerting.domain.alert import Alert
from alerting.throttle.events.same import Match, Pool, best_match, blocks, seek, signature

WINDOW = timedelta(hours=48)

#: Alerts of a long stream.
MOST = size(700, 2_500)
SEEDS = range(size(2, 8))


def grouped(alerts: Sequence[Alert], *, known: int = 200) -> list[int]:
    """The event of each alert, as the throttle places them: among the newest hundred like it, with
    the words of the newest `known` alerts in mind."""
    signatures = [signature(a) for a in alerts]
    event: list[int] = []
    filed: dict[str, list[int]] = defaultdict(list)
    pool: Pool = Pool()
    recent: deque[int] = deque()
    for no, new in enumerate(signatures):
        near = {
            n for key in seek(new) for n in filed[key] if new.sent - signatures[n].sent <= WINDOW
        }
        newest = sorted(near, reverse=True)[:100]
        pool.add(new, sender=new.sender)
        found = best_match(new, [(n, signatures[n]) for n in newest], pool)
        pool.drop(new, sender=new.sender)
        sure = found is not None and found[1].match is Match.SURE
        event.append(event[found[0]] if found is not None and sure else no)
        pool.add(new, event[no], sender=new.sender)
        recent.append(no)
        if len(recent) > known:
            old = recent.popleft()
            pool.drop(signatures[old], event[old], sender=signatures[old].sender)
        for key in blocks(new):
            filed[key].append(no)
    return event


def evaluated(events: Sequence[Hashable], truth: Sequence[Hashable]) -> tuple[float, float]:
    """Precision and recall over pairs of alerts; claiming no pair is no mistake."""

    def pairs(ids: Sequence[Hashable]) -> int:
        return sum(n * (n - 1) // 2 for n in Counter(ids).values())

    both = pairs(list(zip(events, truth, strict=True)))
    claimed = pairs(events)
    return both / claimed if claimed else 1.0, both / pairs(truth)


@cache
def stream(
    corpus: Path, name: str, most: int | None = None
) -> tuple[Sequence[Alert], Sequence[str]]:
    """The first `most` alerts of a stream, all where there is no number, and their incidents."""
    with zipfile.ZipFile(corpus / "streams" / name) as archive:
        lines = archive.read("truth.jsonl").decode().splitlines()[:most]
        rows = [json.loads(line) for line in lines]
        alerts = [read(archive.read(row["file"])).alerts[0] for row in rows]
    return alerts, [row["incident"] or f"alone-{no}" for no, row in enumerate(rows)]


def past_midnight(incidents: Sequence[str]) -> list[str]:
    """One name for an incident that runs past midnight.

    The stream's truth names an incident by its number and the day a report was written, and so
    gives two names to one fire that burns over midnight.
    """
    days: dict[tuple[str, date], str] = {}
    for name in incidents:
        parts = re.fullmatch(r"(\d+)-[A-Z][a-z]*day(\D+\d+)(20\d\d)", name)
        if parts:
            day = datetime.strptime(parts[2] + parts[3] + "Z", "%B%d%Y%z").date()
            days[parts[1], day] = name
    names: dict[str, str] = {}
    for (number, day), name in sorted(days.items()):
        before = days.get((number, day - timedelta(days=1)))
        names[name] = names.get(before, before) if before else name
    return [names.get(name, name) for name in incidents]


def test_incident_reports_are_grouped(corpus: Path) -> None:
    alerts, truth = stream(corpus, "lafd-2022.zip")
    events = grouped(alerts)
    precision, recall = evaluated(events, truth)
    assert precision >= 0.98
    assert recall >= 0.85
    precision, recall = evaluated(events, past_midnight(truth))
    assert precision >= 0.995
    assert recall >= 0.85


def test_thresholds_hold_for_the_second_half(corpus: Path) -> None:
    alerts, truth = stream(corpus, "lafd-2022.zip")
    half = len(alerts) // 2
    precision, recall = evaluated(grouped(alerts[half:]), past_midnight(truth[half:]))
    assert precision >= 0.995
    assert recall >= 0.8


@pytest.mark.parametrize("name", ["oref-2021-05.zip", "ukraine-2022-10.zip"])
def test_sirens_match_only_for_one_place(corpus: Path, name: str) -> None:
    alerts, _ = stream(corpus, name, MOST)
    signatures = [signature(a) for a in alerts]
    pool = Pool()
    filed: dict[str, list[int]] = defaultdict(list)
    merged = 0
    for no, new in enumerate(signatures):
        near = sorted({n for key in seek(new) for n in filed[key][-100:]}, reverse=True)[:100]
        pool.add(new, sender=new.sender)
        found = best_match(new, [(n, signatures[n]) for n in near], pool)
        for key in blocks(new):
            filed[key].append(no)
        if found is not None and found[1].match is Match.SURE:
            old = signatures[found[0]]
            merged += 1
            assert new.geocodes & old.geocodes
            assert new.sent < old.until
    assert merged


@pytest.mark.parametrize("seed", SEEDS)
def test_fires_of_one_district_are_separate(seed: int) -> None:
    alerts, truth = zip(*fires(120, seed), strict=True)
    precision, recall = evaluated(grouped(alerts), truth)
    assert precision >= 0.98
    assert recall >= 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_traffic_jams_of_one_country_are_separate(seed: int) -> None:
    alerts, truth = zip(*jams(150, seed), strict=True)
    precision, _ = evaluated(grouped(alerts), truth)
    assert precision >= 0.98
