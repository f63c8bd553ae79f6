"""A planner that dies between any two batches is followed by one that misses nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from databases import emptying, with_dependents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.h3_cover import cell_of
from alerting.cap import from_json, read, to_xml
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation import policies
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.plan import Planner
from alerting.domain.alert import Area, Circle, MsgType, NamedValue, Polygon
from alerting.domain.citizen import geocode_bit, place_bit
from alerting.domain.geometry import distance_km, distance_m_to, ring_shape
from alerting.domain.lane import Lane
from alerting.domain.principal import internal
from alerting.settings import Settings
from alerting.store.alerts import stored_alerts
from alerting.store.citizens.import_citizens import (
    RegisterAddress,
    RegisterPlace,
    RegisterRow,
    merge,
)
from alerting.store.db import Database, raw
from alerting.store.ledger import planning
from alerting.store.ledger.planning import NewDelivery
from alerting.store.schema import outbox as outbox_table
from alerting.store.work import outbox, queues
from alerting.store.work.outbox import Work

EXAMPLE = (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()
RING = ((0.0, 0.0), (0.0, 0.2), (0.2, 0.2), (0.2, 0.0), (0.0, 0.0))
CIRCLE = Circle(0.25, 0.25, 8.0)
CODES = (NamedValue("EMMA_ID", "ES104"), NamedValue("EMMA_ID", "ES105"))

near = st.floats(-0.2, 0.4).map(lambda v: round(v, 3))
places = st.lists(st.tuples(near, near, st.sampled_from([0.0, 0.0, 800.0])), max_size=4)
people = st.tuples(places, st.sets(st.sampled_from([*CODES, NamedValue("EMMA_ID", "ES106")])))


class Died(Exception):
    """As if the planner had been killed here."""


@dataclass(frozen=True)
class Someone:
    ref: str
    places: tuple[tuple[float, float, float], ...]
    codes: frozenset[NamedValue]

    def bits(self) -> int:
        """Which of their places and geocodes are in the area, by plain geometry."""
        bits = 0
        for no, (lat, lon, radius_m) in enumerate(self.places):
            far_km = distance_km(CIRCLE.lat, CIRCLE.lon, np.array([lat]), np.array([lon]))[0]
            if (
                distance_m_to(ring_shape(RING), lat, lon) <= radius_m
                or far_km * 1000 <= CIRCLE.radius_km * 1000 + radius_m
            ):
                bits |= place_bit(no)
        for no, code in enumerate(sorted(self.codes, key=lambda c: (c.name, c.value))):
            bits |= geocode_bit(no) if code in CODES else 0
        return bits

    def row(self) -> RegisterRow:
        return RegisterRow(
            self.ref, "en", "UTC", None, None, ("sms",), (),
            (RegisterAddress("sms", "+447700900001", True, True),),
            tuple(RegisterPlace("p", la, lo, r, cell_of(la, lo)) for la, lo, r in self.places),
            tuple((c.name, c.value) for c in sorted(self.codes, key=str)),
            repr(self).encode(),
        )  # fmt: skip


Drawn = list[tuple[list[tuple[float, float, float]], set[NamedValue]]]


def everybody(drawn: Drawn) -> list[Someone]:
    return [Someone(f"c{i}", tuple(p), frozenset(c)) for i, (p, c) in enumerate(drawn)]


async def record_outcomes(db: Database, them: list[Someone]) -> None:
    async with db.begin() as c:
        await merge(await raw(c), [s.row() for s in them])


async def submitted(db: Database, clock: ManualClock, notifier: WorkNotifier) -> UUID:
    example = read(EXAMPLE).alerts[0]
    ways = (
        Area("ring", polygons=(Polygon(RING),)),
        Area("circle and code", circles=(CIRCLE,), geocodes=(CODES[0],)),
        Area("code", geocodes=(CODES[1],)),
    )
    info = replace(example.infos[0], areas=ways)
    data = to_xml(replace(example, infos=(info,)))
    stored = await submit(
        db, data, principal=internal("test"), now=True, clock=clock, notifier=notifier
    )
    return stored.alert_id


async def _plan_id(c: AsyncConnection) -> int:
    return int(await c.scalar(text("select max(id) from outbox where kind = 'plan'")) or 0)


class Mortal(Planner):
    """Dies before it writes more than so many `batches`; with None it lives."""

    def __init__(
        self, db: Database, clock: ManualClock, notifier: WorkNotifier, settings: Settings
    ) -> None:
        super().__init__(db, clock, notifier, settings, wait_for_higher_priority=self._die_in_time)
        self.clock, self.notifier = clock, notifier
        self.batches: int | None = None

    async def _die_in_time(self, _: Work) -> None:
        if self.batches is not None:
            if self.batches == 0:
                raise Died
            self.batches -= 1


async def plan(db: Database, planner: Mortal, batches: int | None) -> bool:
    """Claim the plan and follow it, for so many batches; True when it is done."""
    async with db.begin() as c:
        past = datetime.now(UTC) - timedelta(hours=1)
        await c.execute(update(outbox_table).values(lease_until=past))
    await queues.recover(db, [])
    async with db.begin() as c:
        work = await queues.claim_one(c, await _plan_id(c), owner="t", lease_s=60)
    assert work is not None
    assert work.kind == "plan"
    planner.batches = batches
    try:
        await planner.run(work)
    except Died:
        return False
    return True


async def ledger(db: Database) -> dict[str, int]:
    """Whom it has, each of them once, and by which places."""
    async with db.begin() as c:
        rows = (
            await c.execute(
                text("select c.ref, d.places from delivery d join citizen c on c.id = d.citizen_id")
            )
        ).all()
    assert len(rows) == len({ref for ref, _ in rows}), "somebody was planned twice"
    return dict(map(tuple, rows))


async def found(db: Database) -> int:
    async with db.begin() as c:
        return int(await c.scalar(text("select audience from alert")) or 0)


@pytest.fixture
def planner(db: Database) -> Mortal:
    clock = ManualClock(datetime.now(UTC))
    return Mortal(db, clock, WorkNotifier("redis://127.0.0.1:9/0"), Settings(chunk_size=2))


@settings(max_examples=size(12, 200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(people, max_size=20),
    moved=st.lists(people, max_size=20),
    deaths=st.lists(st.integers(0, 4), max_size=4),
)
async def test_planner_resumes_without_duplicates_after_kill_or_move(
    db: Database,
    planner: Mortal,
    before: Drawn,
    moved: Drawn,
    deaths: list[int],
) -> None:
    async with db.begin() as c:
        await (await raw(c)).execute(emptying(with_dependents("citizen", "alert", "delivery")))
    then, now = everybody(before), everybody(moved)
    await record_outcomes(db, then)
    await submitted(db, planner.clock, planner.notifier)
    done = False
    for batches in deaths:
        done = done or await plan(db, planner, batches)
    expected = {s.ref: s.bits() for s in then if s.bits()}
    early = await ledger(db)
    assert early.items() <= expected.items()
    if done:
        assert early == expected
        return
    # The dead planner's follower finds a directory that has changed.
    await record_outcomes(db, now)
    assert await plan(db, planner, None)
    late = await ledger(db)
    finally_here = {s.ref: s.bits() for s in [*then[len(now) :], *now] if s.bits()}
    assert late == finally_here | early
    assert await found(db) == len(late)


async def test_planner_resumes_plan_of_previous_version(db: Database, planner: Mortal) -> None:
    """It planned by ascending id and left the last one as the row's cursor."""
    home = [(0.1, 0.1, 0.0)]
    them = everybody([(home, set()) for _ in range(7)])
    await record_outcomes(db, them)
    alert_id = await submitted(db, planner.clock, planner.notifier)
    async with db.begin() as c:
        ids = (await c.execute(text("select id from citizen order by id"))).scalars().all()
        chunk = await c.scalar(
            text(
                "insert into outbox (alert_id, kind, lane, channel, size)"
                " select alert_id, 'deliver', lane, 'sms', 3 from outbox returning id"
            )
        )
        rows = [NewDelivery(i, 0, 0, 0, 1) for i in ids[:3]]
        await planning.add(c, alert_id, [(chunk, "sms", rows)])
        await c.execute(
            text("update outbox set cursor = :last, fence = 1 where kind = 'plan'"),
            {"last": ids[2]},
        )
        await c.execute(text("update alert set audience = 3"))
    assert await plan(db, planner, None)
    assert len(await ledger(db)) == await found(db) == 7


async def test_planner_ignores_digest_with_alert_id(db: Database, planner: Mortal) -> None:
    await record_outcomes(db, everybody([([(0.1, 0.1, 0.0)], set())]))
    alert_id = await submitted(db, planner.clock, planner.notifier)
    async with db.begin() as c:
        citizen = await c.scalar(text("select id from citizen"))
        sizes = [("sms", 1)]
        (chunk,) = await outbox.add_chunks(c, alert_id, Lane.ROUTINE, sizes, digest=True)
        await planning.add(c, alert_id, [(chunk, "sms", [NewDelivery(citizen, 0, 0, 0)])])
        await c.execute(text("update outbox set fence = 1 where kind = 'plan'"))
    assert await plan(db, planner, None)
    async with db.begin() as c:
        assert await c.scalar(text("select count(*) from delivery")) == 2


async def test_planner_does_not_hold_for_several_places(db: Database, planner: Mortal) -> None:
    async with db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 3\n", by=internal("test"))
    several = [(0.1, 0.1, 0.0), (0.1, 0.11, 0.0)]
    await record_outcomes(db, everybody([(several, set()) for _ in range(3)]))
    await submitted(db, planner.clock, planner.notifier)
    assert await plan(db, planner, None)
    assert len(await ledger(db)) == 3


async def test_planner_resumes_cancel_notice_without_duplicates(
    db: Database, planner: Mortal
) -> None:
    await record_outcomes(db, everybody([([(0.1, 0.1, 0.0)], set()) for _ in range(7)]))
    await submitted(db, planner.clock, planner.notifier)
    assert await plan(db, planner, None)
    async with db.begin() as c:
        await c.execute(text("update delivery set state = 'accepted'"))
        await c.execute(text("update outbox set state = 'done', done_at = now()"))
        alert_id = await c.scalar(text("select id from alert"))
        stored = await stored_alerts.get(c, alert_id)
    assert stored is not None
    alert = from_json(stored.document)
    cancel = replace(
        alert, identifier="cancel", sent=planner.clock.now().replace(microsecond=0),
        msg_type=MsgType.CANCEL, references=(alert.triple,),
    )  # fmt: skip
    ended = await submit(
        db, to_xml(cancel), principal=internal("test"), now=True, clock=planner.clock,
        notifier=planner.notifier,
    )  # fmt: skip
    assert not await plan(db, planner, 1)
    assert await plan(db, planner, None)
    async with db.begin() as c:
        notified = await c.execute(
            text("select count(*), count(distinct citizen_id) from delivery where alert_id = :id"),
            {"id": ended.alert_id},
        )
        assert tuple(notified.one()) == (7, 7)
