"""The directory, asked through its index, against every citizen looked at one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from databases import emptying, with_dependents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size

from alerting.audience.find import count, find
from alerting.audience.h3_cover import cell_of
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.citizen import Recipient, geocode_bit
from alerting.domain.geometry import distance_km, distance_m_to, ring_shape
from alerting.drills import rosters
from alerting.store.citizens.import_citizens import (
    RegisterAddress,
    RegisterPlace,
    RegisterRow,
    merge,
)
from alerting.store.db import Database, raw

AT = datetime(2026, 11, 1, 6, tzinfo=UTC)
SQUARE = Polygon(((1.0, 1.0), (1.0, 2.0), (2.0, 2.0), (2.0, 1.0), (1.0, 1.0)))


def info(*areas: Area, language: str = "en", severity: Severity = Severity.SEVERE) -> Info:
    return Info(
        (Category.FIRE,), "Fire", Urgency.IMMEDIATE, severity, Certainty.OBSERVED, language,
        areas=areas,
    )  # fmt: skip


def alert(*infos: Info) -> Alert:
    return Alert("1", "s@example.org", AT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC, infos=infos)


def row(
    ref: str,
    *places: tuple[float, float, float],
    geocodes: tuple[tuple[str, str], ...] = (),
    language: str = "en",
    groups: tuple[str, ...] = (),
) -> RegisterRow:
    return RegisterRow(
        ref, language, "UTC", None, None, ("sms",), groups,
        (
            RegisterAddress("email", f"{ref}@example.org", True, True),
            RegisterAddress("sms", "+447700900001", True, True),
            RegisterAddress("push", f"https://push.example.org/{ref}", False, True),
        ),
        tuple(RegisterPlace("p", la, lo, r, cell_of(la, lo)) for la, lo, r in places),
        geocodes, ref.encode(),
    )  # fmt: skip


async def populate(db: Database, *rows: RegisterRow) -> None:
    async with db.begin() as c:
        await merge(await raw(c), rows)


async def found(db: Database, a: Alert, **options: int) -> list[Recipient]:
    async with db.begin() as c:
        return [r async for batch in find(c, a, **options) for r in batch]


async def refs(db: Database, a: Alert) -> set[str]:
    recipients = await found(db, a)
    async with db.begin() as c:
        cursor = await (await raw(c)).execute("select id, ref from citizen")
        names = dict(await cursor.fetchall())
    return {names[r.citizen_id] for r in recipients}


async def test_find_by_polygon_circle_and_geocode_once_each(db: Database) -> None:
    await populate(
        db,
        row("inside", (1.5, 1.5, 0), (1.6, 1.6, 0)),
        row("edge", (1.0, 1.5, 0)),
        row("outside", (2.01, 1.5, 0)),
        row("disc", (2.01, 1.5, 1500)),
        row("circle", (5.0, 5.05, 0)),
        row("code", geocodes=(("EMMA_ID", "ES104"),)),
        row("other code", geocodes=(("EMMA_ID", "ES105"),)),
    )
    area = Area("x", (SQUARE,), (Circle(5, 5, 10),), (NamedValue("EMMA_ID", "ES104"),))
    assert await refs(db, alert(info(area))) == {"inside", "edge", "disc", "circle", "code"}
    ids = [r.citizen_id for r in await found(db, alert(info(area)))]
    assert len(ids) == len(set(ids))


async def test_find_is_independent_of_batch_size(db: Database) -> None:
    await populate(db, *(row(f"c{i}", (1.5, 1.5, 0), (1.2, 1.2, 0)) for i in range(25)))
    a = alert(info(Area("x", (SQUARE,))))
    whole = await found(db, a)
    assert len(whole) == 25
    assert sorted(await found(db, a, batch=3)) == sorted(whole)


async def test_find_prefers_most_severe_info_then_language(db: Database) -> None:
    await populate(db, row("es", (1.5, 1.5, 0), language="es"))
    wide = Area("wide", (SQUARE,))
    near = Area("near", (), (Circle(1.5, 1.5, 5),))
    infos = (
        info(wide, language="es", severity=Severity.MODERATE),
        info(wide, near, language="en", severity=Severity.EXTREME),
        info(near, language="es", severity=Severity.EXTREME),
    )
    (r,) = await found(db, alert(*infos))
    assert (r.info_no, r.area_no) == (2, 0)
    over = replace(infos[2], urgency=Urgency.PAST)
    (r,) = await found(db, alert(infos[0], infos[1], over))
    assert (r.info_no, r.area_no) == (1, 0)


async def test_find_orders_addresses_as_the_citizen_does(db: Database) -> None:
    await populate(db, row("c", (1.5, 1.5, 0)))
    (r,) = await found(db, alert(info(Area("x", (SQUARE,)))))
    assert [(t.channel, t.usable) for t in r.targets] == [
        ("sms", True),
        ("push", False),
        ("email", True),
    ]


async def test_find_non_public_alert_only_for_named_groups(db: Database) -> None:
    await populate(
        db,
        row("member", (1.5, 1.5, 0), groups=("blue",)),
        row("far member", (50, 50, 0), groups=("blue",)),
        row("other group", (1.5, 1.5, 0), groups=("red",)),
        row("public", (1.5, 1.5, 0), geocodes=(("A", "1"),)),
    )
    area = Area("x", (SQUARE,), (), (NamedValue("A", "1"),))
    closed = replace(alert(info(area)), scope=Scope.RESTRICTED)
    assert await refs(db, closed) == set()
    assert await refs(db, replace(closed, addresses=("blue",))) == {"member"}
    placeless = replace(closed, addresses=("blue",), infos=(info(Area("everywhere")),))
    assert await refs(db, placeless) == {"member", "far member"}


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
@pytest.mark.parametrize("scope", list(Scope))
async def test_find_drill_only_for_named_rosters(
    db: Database, status: Status, scope: Scope
) -> None:
    """A group of the same name is no roster, and who has left hears nothing."""
    here, code = (1.5, 1.5, 0), (("A", "1"),)
    await populate(
        db,
        row("member", here),
        row("by code", geocodes=code),
        row("far member", (50, 50, 0)),
        row("left", here, geocodes=code),
        row("group", here, geocodes=code, groups=("blue",)),
        row("other roster", here),
    )
    async with db.begin() as c:
        for name, refs_ in {
            "blue": ["member", "by code", "far member", "left"], "red": ["other roster"],
        }.items():  # fmt: skip
            await rosters.create(c, name, by="test")
            await rosters.add(c, name, refs_, source="asked", by="test")
        await rosters.remove(c, "blue", ["left"], by="test")
    area = Area("x", (SQUARE,), (), (NamedValue("A", "1"),))
    drill = replace(alert(info(area)), status=status, scope=scope)
    assert await refs(db, drill) == set()
    assert await refs(db, replace(drill, addresses=("blue",))) == {"member", "by code"}
    both = replace(drill, addresses=("blue", "red", "none"))
    assert await refs(db, both) == {"member", "by code", "other roster"}
    placeless = replace(drill, addresses=("blue",), infos=(info(Area("everywhere")),))
    assert await refs(db, placeless) == {"member", "by code", "far member"}


near_zero = st.floats(-0.5, 0.5).map(lambda v: round(v, 3))


@settings(max_examples=size(15, 200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ring=st.lists(st.tuples(near_zero, near_zero), min_size=3, max_size=7),
    circle=st.tuples(near_zero, near_zero, st.floats(0, 30)),
    homes=st.lists(
        st.tuples(near_zero, near_zero, st.sampled_from([0.0, 0.0, 500.0, 5000.0])), max_size=12
    ),
    turn=st.sampled_from([0.0, 100.0, 180.0]),
)
async def test_find_equals_brute_force(
    db: Database,
    ring: list[tuple[float, float]],
    circle: tuple[float, float, float],
    homes: list[tuple[float, float, float]],
    turn: float,
) -> None:
    def lon(x: float) -> float:
        return (x + turn + 180) % 360 - 180

    async with db.begin() as c:
        await (await raw(c)).execute(emptying(with_dependents("citizen")))
    await populate(db, *(row(f"h{i}", (y, lon(x), r)) for i, (y, x, r) in enumerate(homes)))
    points = tuple((y, lon(x)) for y, x in ring)
    area = Area(
        "x", (Polygon((*points, points[0])),), (Circle(circle[0], lon(circle[1]), circle[2]),)
    )
    shape = ring_shape((*points, points[0]))
    expected = set()
    for i, (y, x, r) in enumerate(homes):
        far_km = distance_km(circle[0], lon(circle[1]), np.array([y]), np.array([lon(x)]))[0]
        if distance_m_to(shape, y, lon(x)) <= r or far_km * 1000 <= circle[2] * 1000 + r:
            expected.add(f"h{i}")
    assert await refs(db, alert(info(area))) == expected


@pytest.mark.parametrize("end", [179.5, -179.5])
async def test_find_edge_on_the_antimeridian(db: Database, end: float) -> None:
    await populate(db, row("east", (0.0, 180.0, 0.0)), row("west", (0.0, -180.0, 0.0)))
    seam = 180.0 if end > 0 else -180.0
    ring = ((-0.5, end), (0.5, end), (0.5, seam), (-0.5, seam), (-0.5, end))
    found = await refs(db, alert(info(Area("x", (Polygon(ring),)))))
    assert found == {"east", "west"}


async def test_find_with_more_areas_than_bits_of_a_word(db: Database) -> None:
    """A citizen in the last of many areas, by two places and a geocode, counts once."""
    home, work = (30.5, 30.5, 0.0), (31.0, 30.5, 0.0)
    holds = (("A", "1"),)
    await populate(db, row("last", home, work, geocodes=holds), row("code", geocodes=holds))
    many = [Area(f"a{i}", (), (Circle(i / 2, 0, 1),)) for i in range(70)]
    last = Area("last", (), (Circle(30.5, 30.5, 1), Circle(31, 30.5, 1)))
    codes = Area("codes", geocodes=(NamedValue("A", "1"),))
    both, code = sorted(await found(db, alert(info(*many, last, codes))))
    assert (both.area_no, both.places) == (70, 0b11 | geocode_bit(0))
    assert (code.area_no, code.places) == (71, geocode_bit(0))


async def test_find_tells_geocodes_of_one_citizen_apart(db: Database) -> None:
    """These two had one bit when bits were hashes."""
    await populate(db, row("both", geocodes=(("NUTS3", "DE21C"), ("NUTS3", "DE27B"))))
    areas = [Area(v, geocodes=(NamedValue("NUTS3", v),)) for v in ("DE21C", "DE27B")]
    seen = [(await found(db, alert(info(area))))[0].places for area in areas]
    assert seen == [geocode_bit(0), geocode_bit(1)]


async def test_count_is_never_too_low(db: Database) -> None:
    await populate(db, *(row(f"c{i}", (1.5, 1.5, 0), (1.2, 1.2, 0)) for i in range(5)))
    a = alert(info(Area("x", (SQUARE,))))
    async with db.begin() as c:
        assert await count(c, a, unless_below=4) == 5
        assert await count(c, a, unless_below=5) == 5
        assert await count(c, a, unless_below=10) == 10, "their places, which is quicker"
