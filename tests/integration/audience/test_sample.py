"""A sample of an audience: all of a small one, a fair part of a large one."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from alerting.audience.sample import sample, thinned
from alerting.audience.synthetic import generate, store
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.store.db import Database

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TOWN = box(2.40, 54.40, 2.60, 54.60)
WEST = Polygon(((54.3, 2.3), (54.3, 2.5), (54.7, 2.5), (54.7, 2.3), (54.3, 2.3)))
ALL = Polygon(((54.3, 2.3), (54.3, 2.7), (54.7, 2.7), (54.7, 2.3), (54.3, 2.3)))


def over(area: Area, west: Area | None = None) -> Alert:
    """An alert for one area, or Minor there and Severe in the west."""
    one = Info((Category.MET,), "Flood", Urgency.IMMEDIATE, Severity.MINOR, Certainty.LIKELY,
               areas=(area,))  # fmt: skip
    graver = Info((Category.MET,), "Flood", Urgency.IMMEDIATE, Severity.SEVERE, Certainty.LIKELY,
                  areas=(west,) if west else ())  # fmt: skip
    infos = (one, graver) if west else (one,)
    return Alert("i", "s", NOW, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC, infos=infos)


ranges = st.lists(st.integers(1, 10**6), min_size=2, max_size=60, unique=True).map(
    lambda cuts: [
        (low, high - 1) for low, high in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False)
    ]
)


@given(ranges, st.sampled_from([1.0, 0.5, 1 / 64]), st.integers())
def test_sample_of_ranges_lies_within_them(
    whole: list[tuple[int, int]], share: float, seed: int
) -> None:
    found = thinned([r[0] for r in whole], [r[1] for r in whole], share, Random(seed))
    for low, high in found:
        assert any(a <= low <= high <= b for a, b in whole)
    assert len(set(found)) == len(found)
    total = sum(b - a + 1 for a, b in whole)
    assert sum(b - a + 1 for a, b in found) <= total
    if share == 1:
        assert found == whole


@pytest.fixture
async def populated(db: Database) -> Database:
    async with db.begin() as connection:
        people = generate(
            6000, TOWN, seed=3, make_push=lambda name: (name, {}), languages={"en": 1.0}
        )
        await store(connection, people)
    return db


async def test_sample_of_small_audience_is_whole(populated: Database) -> None:
    async with populated.begin() as connection:
        found = await sample(connection, over(Area("x", (ALL,))), most=9000, now=NOW, seed=1)
    assert (len(found.recipients), found.weight) == (6000, 1.0)


@pytest.mark.parametrize("seed", range(4))
async def test_sample_of_large_audience_is_weighted(populated: Database, seed: int) -> None:
    alert = over(Area("all", (ALL,)), Area("west", (WEST,)))
    async with populated.begin() as connection:
        found = await sample(connection, alert, most=400, now=NOW, seed=seed)
    assert 200 <= len(found.recipients) <= 400
    assert found.weight > 1
    assert 5400 < len(found.recipients) * found.weight < 6600
    grave = sum(r.info_no == 1 for r in found.recipients) / len(found.recipients)
    assert 0.4 < grave < 0.65


async def test_sample_of_geocodes_or_nothing(populated: Database) -> None:
    area = Area("x", (), (), (NamedValue("none", "here"),))
    for alert in (over(area), over(Area("nowhere"))):
        async with populated.begin() as connection:
            found = await sample(connection, alert, most=10, now=NOW, seed=1)
        assert (found.recipients, found.weight) == ([], 1.0)
