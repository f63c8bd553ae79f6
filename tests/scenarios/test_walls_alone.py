"""Each wall around drills is enough alone: with the other three gone, nobody outside is reached.

Random operations on real PostgreSQL: people join and leave rosters, change addresses and groups,
drills and real alerts of every kind are submitted, updated, cancelled and approved, providers fail,
workers die and start again, policies change. What counts is what the channels were handed.

`WALL_OPERATIONS` says how many operations each wall is tried with.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness, Recorder
from sizes import size
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.audience.register import read_row
from alerting.cap import from_json, to_xml
from alerting.channels.base import DEAD_ADDRESS, PROVIDER_DOWN, UNREACHABLE, Outcome, Outgoing
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation import policies
from alerting.dispatch.evaluation.storm import TooManyHeld
from alerting.dispatch.intake.approve import approve
from alerting.dispatch.intake.cancel import cancel
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    Polygon,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.alert_state import AlertState
from alerting.domain.citizen import Recipient
from alerting.domain.principal import internal
from alerting.drills import rosters
from alerting.errors import BadInput, Conflict
from alerting.settings import Settings
from alerting.store.admin import stored_alarms
from alerting.store.alerts import stored_alerts
from alerting.store.citizens import drill_walls
from alerting.store.citizens.import_citizens import merge
from alerting.store.db import Database, raw
from alerting.store.schema import address, citizen

OPERATIONS = size(110, 1_000, "WALL_OPERATIONS")

#: Each wall by the alarm it raises, and how many must stop somebody to have been tried at all.
WALLS = ("query", "plan", "throttle", "channel")

ROSTERS = ("red", "blue")
PLACES = 6
#: Citizens of each place; few, so that now and then all of them take part.
_AT_EACH = 3
PEOPLE = [f"p{n}" for n in range(PLACES * _AT_EACH)]

HAZARDS = ("Flood", "Earthquake", "Chemical release", "Wildfire")
POLICIES = (
    "[budget]\nspacing_s = 60\n",
    "[storm]\naudience_max = 5\n",
    '[quiet]\nfrom = "21:00"\nto = "07:30"\n',
    "",
)

_find = audience.find


class Issued(NamedTuple):
    """An alert that was accepted. planned_at: the operation from which on it was planned."""

    alert: Alert
    planned_at: int


class Sent(NamedTuple):
    """A message as a channel was handed it, in which operation and to whom."""

    at: int
    message: Outgoing
    citizen: str


@dataclass
class ScenarioHarness:
    """The town, and what is true of it. members: who is on each roster since and until when, in
    operations. codes: what names the issued in links."""

    harness: DispatchHarness
    seed: random.Random
    now: int = 0
    issued: dict[UUID, Issued] = field(default_factory=dict)
    codes: dict[str, UUID] = field(default_factory=dict)
    held: list[UUID] = field(default_factory=list)
    members: dict[tuple[str, str], list[list[int | None]]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    mails: dict[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    number: int = 0

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def is_member(self, ref: str, roster: str) -> bool:
        spans = self.members.get((ref, roster), [])
        return bool(spans) and spans[-1][1] is None

    def took_part(self, ref: str, names: Sequence[str], since: int, until: int) -> bool:
        """Whether they were on one of the rosters at any time of these operations."""
        return any(
            (joined or 0) <= until and (left is None or left >= since)
            for name in names
            for joined, left in self.members.get((ref, name), [])
        )


# ── what happens ────────────────────────────────────────────────────────────────────────────


async def enrol(w: ScenarioHarness) -> None:
    roster = w.seed.choice(ROSTERS)
    refs = w.seed.sample(PEOPLE, w.seed.randint(1, 6))
    async with w.harness.db.begin() as c:
        await rosters.add(c, roster, refs, source="asked again", by="test")
    for ref in refs:
        if not w.is_member(ref, roster):
            w.members.setdefault((ref, roster), []).append([w.now, None])


async def leave(w: ScenarioHarness) -> None:
    ref = w.seed.choice(PEOPLE)
    by_link = w.seed.random() < 0.5
    names = ROSTERS if by_link else [w.seed.choice(ROSTERS)]
    async with w.harness.db.begin() as c:
        if by_link:
            query = select(func.max(address.c.id)).join(citizen).where(citizen.c.ref == ref)
            await rosters.leave_all(c, await c.scalar(query) or 0, actor="citizen")
        else:
            await rosters.remove(c, names[0], [ref], by="test")
    for name in names:
        if w.is_member(ref, name):
            w.members[ref, name][-1][1] = w.now


async def change_register(w: ScenarioHarness) -> None:
    """A new mail address, other groups; groups have the rosters' names to tempt whoever looks."""
    ref = w.seed.choice(PEOPLE)
    w.mails[ref] = f"{ref}.{w.name()}@example.org"
    await register(w, ref)


async def register(w: ScenarioHarness, *refs: str) -> None:
    rows = []
    for ref in refs:
        n = PEOPLE.index(ref)
        line = {
            "ref": ref,
            "language": w.seed.choice(["en", "de", "ar"]),
            "lat": f"{50.5 + n // _AT_EACH}",
            "lon": "5.5",
            "channels": w.seed.choice(["sms email", "email sms"]),
            "groups": " ".join(r for r in ROSTERS if w.seed.random() < 0.5),
            "email": w.mails[ref],
        }
        if n % 3:
            line["sms"] = f"+447700900{100 + n}"
        w.owners |= {line[c]: ref for c in ("sms", "email") if c in line}
        rows.append(read_row(line))
    async with w.harness.db.begin() as c:
        await merge(await raw(c), rows)


def made(w: ScenarioHarness, status: Status, names: Sequence[str], **changes: Any) -> Alert:
    now = w.harness.clock.now().replace(microsecond=0)
    places = w.seed.sample(range(PLACES), w.seed.choice([1, 1, 1, 1, 2, PLACES]))
    info = Info(
        (Category.SAFETY,),
        w.seed.choice(HAZARDS),
        Urgency.IMMEDIATE,
        w.seed.choice([Severity.EXTREME, Severity.SEVERE, Severity.MODERATE]),
        Certainty.OBSERVED,
        expires=now + timedelta(hours=2),
        headline=f"Headline {w.name()}",
        instruction="Go inside.\nClose the windows.",
        areas=tuple(Area(f"place {n}", (_square(n),)) for n in places),
    )
    scope = w.seed.choice(list(Scope)) if status is not Status.ACTUAL else Scope.PUBLIC
    alert = Alert(
        identifier=w.name(),
        sender=f"{w.seed.choice(['police', 'fire'])}@example.org",
        sent=now,
        status=status,
        msg_type=MsgType.ALERT,
        scope=scope,
        restriction="Participants" if scope is Scope.RESTRICTED else None,
        addresses=tuple(names),
        infos=(info,),
    )
    return replace(alert, **changes)


def _square(n: int) -> Polygon:
    south = 50.1 + n
    north = south + 0.8
    return Polygon(((south, 5.1), (north, 5.1), (north, 5.9), (south, 5.9), (south, 5.1)))


def some_rosters(w: ScenarioHarness) -> list[str]:
    return w.seed.sample(ROSTERS, w.seed.choice([1, 1, 2]))


def rehearsed(w: ScenarioHarness) -> Status:
    return w.seed.choice([Status.EXERCISE, Status.TEST])


async def issue(w: ScenarioHarness, alert: Alert) -> None:
    try:
        done = await w.harness.submit(to_xml(alert), now=False, drill_roster_max=len(PEOPLE) - 4)
    except TooManyHeld:
        return
    w.issued[done.alert_id] = Issued(alert, w.now)
    w.codes[await w.harness.code(done.alert_id)] = done.alert_id
    if done.state is AlertState.HELD:
        w.held.append(done.alert_id)


async def drill(w: ScenarioHarness) -> None:
    await issue(w, made(w, rehearsed(w), some_rosters(w)))


async def drill_for_nobody_known(w: ScenarioHarness) -> None:
    alert = made(w, rehearsed(w), w.seed.choice([[], ["green"], ["red", "staff"]]))
    with pytest.raises(BadInput):
        await w.harness.submit(to_xml(alert), now=False)


async def real(w: ScenarioHarness) -> None:
    await issue(w, made(w, Status.ACTUAL, ()))


async def refer(w: ScenarioHarness) -> None:
    """An Update or a Cancel of something recent, with rosters of its own choosing."""
    if not w.issued:
        return
    about = w.seed.choice(list(w.issued.values())[-8:]).alert
    actual = about.status is Status.ACTUAL
    await issue(
        w,
        made(
            w,
            about.status,
            () if actual else some_rosters(w),
            msg_type=w.seed.choice([MsgType.UPDATE, MsgType.CANCEL]),
            references=(about.triple,),
            sender=about.sender,
        ),
    )


async def cancel_by_hand(w: ScenarioHarness) -> None:
    if not w.issued:
        return
    alert_id = w.seed.choice(list(w.issued)[-8:])
    with suppress(BadInput, Conflict):
        done = await cancel(
            w.harness.db,
            alert_id,
            principal=internal("test"),
            clock=w.harness.clock,
            notifier=w.harness.notifier,
        )
        if done.notice is not None:
            # It names the rosters of the newest version, which need not be those of this one.
            async with w.harness.db.begin() as c:
                stored = await stored_alerts.get(c, done.notice.alert_id)
            assert stored is not None
            w.issued[stored.id] = Issued(from_json(stored.document), w.now)
            w.codes[stored.code or ""] = stored.id


async def approve_held(w: ScenarioHarness) -> None:
    if w.held:
        alert_id = w.held.pop()
        with suppress(Conflict):
            await approve(
                w.harness.db,
                w.harness.notifier,
                alert_id,
                principal=internal("second"),
                clock=w.harness.clock,
            )
            w.issued[alert_id] = w.issued[alert_id]._replace(planned_at=w.now)


async def change_policy(w: ScenarioHarness) -> None:
    async with w.harness.db.begin() as c:
        await policies.set_live(c, w.seed.choice(POLICIES), by=internal("test"))


async def time_passes(w: ScenarioHarness) -> None:
    w.harness.clock.advance(60 * w.seed.choice([1, 10, 90, 200]))


async def work(w: ScenarioHarness) -> None:
    """Workers start, each in a town of its own temper, and some of them die."""
    for _ in range(w.seed.randint(1, 2)):
        moods = {name: w.seed.choice(MOODS) for name in w.harness.channels}
        for name, channel in w.harness.channels.items():
            channel.answer = _answering(w, moods[name])
        await _all_is_old(w)
        with suppress(asyncio.CancelledError):
            await w.harness.worker().sweep_in_order()
        await w.harness.maintenance().run_once()
        await w.harness.close()


async def _all_is_old(w: ScenarioHarness) -> None:
    """What is open is due, and graver work not so young that drills would wait for it."""
    await w.harness.due_now()
    async with w.harness.db.begin() as c:
        await c.exec_driver_sql(
            "update outbox set created_at = created_at - interval '1 minute'"
            " where kind = 'deliver' and state <> 'done'"
        )


async def race(w: ScenarioHarness) -> None:
    await asyncio.gather(work(w), w.seed.choice([leave, enrol, drill, cancel_by_hand])(w))


#: How often a provider of each temper does not take a message, and what it says or does then.
MOODS: Sequence[tuple[float, Any]] = (
    (0, None),
    (0, None),
    (0.5, PROVIDER_DOWN),
    (0.5, UNREACHABLE),
    (0.2, DEAD_ADDRESS),
    (0.1, asyncio.CancelledError),
)


def _answering(w: ScenarioHarness, mood: tuple[float, Any]) -> Callable[[Outgoing], Outcome]:
    share, what = mood

    def answer(m: Outgoing) -> Outcome:
        w.sent.append(Sent(w.now, m, w.owners[m.endpoint]))
        if w.seed.random() >= share:
            return Outcome(m.delivery_id, provider_ref="ok")
        if what is asyncio.CancelledError:
            raise asyncio.CancelledError
        return Outcome(m.delivery_id, what)

    return answer


Operation = Callable[[ScenarioHarness], Awaitable[None]]

HAPPENINGS: dict[Operation, int] = {
    enrol: 10,
    leave: 5,
    change_register: 6,
    drill: 16,
    drill_for_nobody_known: 2,
    real: 5,
    refer: 8,
    cancel_by_hand: 3,
    approve_held: 4,
    change_policy: 2,
    time_passes: 6,
    work: 16,
    race: 8,
}


# ── the walls ───────────────────────────────────────────────────────────────────────────────


def public(
    connection: AsyncConnection, alert: Alert, **options: Any
) -> AsyncGenerator[list[Recipient]]:
    everybody = replace(alert, status=Status.ACTUAL, scope=Scope.PUBLIC, addresses=())
    return _find(connection, everybody, **options)


async def all_participate(_: Any, __: Any, ids: Sequence[int]) -> dict[int, bool]:
    return dict.fromkeys(ids, True)


async def no_outsiders(*_: Any) -> int:
    return 0


async def all_are_members(_: Any, __: Any, ___: Any, ids: Sequence[int]) -> dict[int, bool]:
    return dict.fromkeys(ids, True)


def only(standing: Sequence[str], harness: DispatchHarness, patch: pytest.MonkeyPatch) -> None:
    """Tear down every other wall."""
    if "query" not in standing:
        patch.setattr(audience, "find", public)
        patch.setattr(drill_walls, "participants", all_participate)
    if "plan" not in standing:
        patch.setattr(drill_walls, "outsiders", no_outsiders)
    if "throttle" not in standing:
        patch.setattr(drill_walls, "memberships", all_are_members)
    if "channel" not in standing:
        harness.drill_key = None


@pytest.fixture
async def scenario(db: Database, redis_url: str) -> AsyncIterator[ScenarioHarness]:
    notifier = WorkNotifier(redis_url)
    harness = DispatchHarness(
        db,
        ManualClock(datetime.now(UTC)),
        notifier,
        Settings(chunk_size=20, window=5, sweep_s=0.001, retry_s=60),
        {name: Recorder(name) for name in ("sms", "email")},
        [],
    )
    w = ScenarioHarness(
        harness, random.Random(12), mails={ref: f"{ref}@example.org" for ref in PEOPLE}
    )
    async with db.begin() as c:
        harness.drill_key = await rosters.key(c)
        for name in ROSTERS:
            await rosters.create(c, name, by="test")
    await register(w, *PEOPLE)
    yield w
    await harness.close()
    notifier.close()


async def play(w: ScenarioHarness, count: int) -> None:
    happenings, weights = list(HAPPENINGS), list(HAPPENINGS.values())
    for _ in range(count):
        w.now += 1
        await w.seed.choices(happenings, weights)[0](w)
    w.now += 1
    await work(w)


async def walls_alarmed(w: ScenarioHarness) -> set[str]:
    async with w.harness.db.begin() as c:
        found = await stored_alarms.open_alarms(c, limit=100_000)
    return {a.subject.partition(" ")[0] for a in found if a.kind == "wall"}


def judge(w: ScenarioHarness, *, until_sent: bool) -> tuple[list[str], int, int]:
    """What outsiders were sent, and how many messages of drills and of real alerts there were.

    until_sent: whoever has left by the time of sending is an outsider as well. A wall that stands
    where a drill is planned cannot know who leaves later.
    """
    faults, drills, reals = [], 0, 0
    for at, message, ref in w.sent:
        alert, planned_at = w.issued[w.codes[message.rendering.link.rpartition("/")[2]]]
        if not alert.is_drill:
            reals += 1
            continue
        drills += 1
        if not message.drill:
            faults.append(f"{at}: {ref} was sent a drill like a real alert")
        if not w.took_part(ref, alert.addresses, at if until_sent else planned_at, at):
            faults.append(f"{at}: {ref} is on none of {alert.addresses}, planned {planned_at}")
    return faults, drills, reals


@pytest.mark.timeout(max(600, 6 * OPERATIONS))
@pytest.mark.parametrize("standing", [*WALLS, "all of them"])
async def test_each_wall_alone_keeps_outsiders_out(
    scenario: ScenarioHarness, standing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls = WALLS if standing == "all of them" else (standing,)
    only(walls, scenario.harness, monkeypatch)
    await play(scenario, OPERATIONS)
    faults, drills, reals = judge(scenario, until_sent="throttle" in walls or "channel" in walls)
    assert faults[:5] == []
    assert drills >= 5, "drills must have reached somebody to be judged"
    assert reals >= 10
    alarmed = await walls_alarmed(scenario)
    if standing == "all of them":
        assert alarmed == set(), "nobody did anything wrong"
    else:
        assert alarmed <= {standing}
        assert alarmed or standing == "query", "it was never put to the test"


async def test_outsiders_are_reached_without_any_wall(
    scenario: ScenarioHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge sees it, and the operations bring it about."""
    only((), scenario.harness, monkeypatch)
    await play(scenario, 50)
    faults, _, _ = judge(scenario, until_sent=False)
    assert len(faults) > 10
