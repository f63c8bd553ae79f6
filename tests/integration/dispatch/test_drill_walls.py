"""The walls around drills where alerts are planned, judged and sent, each by what it stops."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness
from household import LATER_S, age, down
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, Outcome, Outgoing
from alerting.dispatch import approvers
from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator
from alerting.dispatch.evaluation.explain import explain
from alerting.dispatch.intake.approve import approve
from alerting.domain.alert import Alert, Scope, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.citizen import Recipient
from alerting.domain.decision import Action, Reason
from alerting.domain.lane import Lane
from alerting.domain.links import Links, Purpose
from alerting.domain.principal import internal
from alerting.drills import rosters
from alerting.store.admin import stored_alarms
from alerting.store.alerts import stored_alerts
from alerting.store.citizens import drill_walls
from alerting.store.ledger import deliveries
from alerting.store.schema import alert as alert_table
from alerting.store.schema import citizen, delivery, outbox, roster_member

ROSTER = "lighthouse"

find = audience.find


def public(
    connection: AsyncConnection, alert: Alert, **options: Any
) -> AsyncGenerator[list[Recipient]]:
    """An audience as if the alert were for everybody: the first wall is gone."""
    everybody = replace(alert, status=Status.ACTUAL, scope=Scope.PUBLIC, addresses=())
    return find(connection, everybody, **options)


async def all_take_part(_: AsyncConnection, __: object, ids: Sequence[int]) -> dict[int, bool]:
    return dict.fromkeys(ids, True)


async def no_outsiders(*_: object) -> int:
    return 0


@pytest.fixture
def drill(flood: Alert) -> bytes:
    return to_xml(replace(flood, status=Status.EXERCISE, addresses=(ROSTER,)))


@pytest.fixture
async def members(harness: DispatchHarness, alert_xml: bytes) -> dict[str, set[str]]:
    """The register keys of the roster's members, all in the area, and their endpoints. Real passes
    are asked for."""
    notified = {endpoint for _, endpoint in harness.expected(alert_xml)}
    here = [c for c in harness.citizens if notified & set(c.endpoints.values())][:20]
    async with harness.db.begin() as c:
        await rosters.create(c, ROSTER, by="test")
        await rosters.add(c, ROSTER, [m.ref for m in here], source="asked", by="test")
        harness.drill_key = await rosters.key(c)
    return {m.ref: set(m.endpoints.values()) for m in here}


def reached(harness: DispatchHarness, members: dict[str, set[str]]) -> tuple[set[str], set[str]]:
    """The members who were sent anything, and the endpoints of anybody else."""
    endpoints = {m.endpoint for m in harness.sent}
    return (
        {ref for ref, theirs in members.items() if theirs & endpoints},
        endpoints - {e for theirs in members.values() for e in theirs},
    )


async def walls_alarmed(harness: DispatchHarness) -> set[str]:
    for notified in harness.notified:
        await notified.drain()
    async with harness.db.begin() as c:
        return {
            a.subject.partition(" ")[0]
            for a in await stored_alarms.open_alarms(c)
            if a.kind == "wall"
        }


async def state_of(harness: DispatchHarness, alert_id: UUID) -> tuple[AlertState, str]:
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, alert_id)
    assert stored is not None
    return stored.state, stored.state_reason


async def record_outcomes(harness: DispatchHarness) -> None:
    for _ in range(4):
        await harness.maintenance().run_once()
        await harness.due_now()
        await harness.worker().sweep()


async def leave(harness: DispatchHarness, *refs: str) -> None:
    async with harness.db.begin() as c:
        await rosters.remove(c, ROSTER, refs, by="test")


async def test_drill_reaches_members_with_drill_links(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    assert reached(harness, members) == (set(members), set())
    assert (await state_of(harness, submitted.alert_id))[0] is AlertState.COMPLETED
    links = Links(b"k" * 32)
    assert {m.rendering.link.rpartition("/")[2] for m in harness.sent} == {
        await harness.code(submitted.alert_id)
    }
    mails = harness.channels["email"].sent
    assert mails
    assert {links.leaving(m.unsubscribe_token).purpose for m in mails} == {Purpose.DRILL}
    assert await walls_alarmed(harness) == set()


async def test_real_alert_reads_no_drill_tables(
    harness: DispatchHarness,
    alert_xml: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def asked(*_: object, **__: object) -> None:
        raise AssertionError("a real alert waited for what only drills need")

    for module, names in {
        drill_walls: ("participants", "outsiders", "memberships", "passes"),
        rosters: ("prepare",),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, asked)
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, DEAD_ADDRESS)
    submitted = await harness.submit(alert_xml)
    await record_outcomes(harness)
    assert {m.endpoint for m in harness.sent} >= {e for _, e in harness.expected(alert_xml)}
    assert not any(m.drill or m.drill_pass for m in harness.sent)
    assert (await state_of(harness, submitted.alert_id))[0] is AlertState.COMPLETED
    notice = await harness.submit(await harness.cancel_of(submitted.alert_id))
    await record_outcomes(harness)
    assert (await state_of(harness, notice.alert_id))[0] is AlertState.COMPLETED


async def test_planner_stops_drill_with_outsiders(
    harness: DispatchHarness,
    drill: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience, "find", public)
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    assert harness.sent == []
    state, reason = await state_of(harness, submitted.alert_id)
    assert state is AlertState.CANCELLED
    assert reason.startswith("a wall stopped it: ")
    assert await harness.rows(submitted.alert_id) == []
    assert await walls_alarmed(harness) == {"plan"}
    await record_outcomes(harness)
    async with harness.db.begin() as c:
        assert not await c.scalar(select(func.count()).where(outbox.c.state != "done"))
        assert await c.scalar(select(alert_table.c.finished_at)) is not None
    assert harness.sent == []


async def test_planner_tolerates_member_leaving_meanwhile(
    harness: DispatchHarness,
    drill: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The audience is found, then somebody leaves, then it is written: no fault of anybody."""
    gone = min(members)

    async def then_leave(
        connection: AsyncConnection, alert: Alert, **options: Any
    ) -> AsyncGenerator[list[Recipient]]:
        async for batch in find(connection, alert, **options):
            await leave(harness, gone)
            yield batch

    monkeypatch.setattr(audience, "find", then_leave)
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    assert reached(harness, members) == (set(members) - {gone}, set())
    assert (await state_of(harness, submitted.alert_id))[0] is AlertState.COMPLETED
    rows = {r["citizen"]: r["reason"] for r in await harness.rows(submitted.alert_id)}
    assert rows[gone] == Reason.NOT_A_PARTICIPANT
    assert await walls_alarmed(harness) == set()


async def test_throttle_drops_outsiders_with_reason(
    harness: DispatchHarness,
    drill: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience, "find", public)
    monkeypatch.setattr(drill_walls, "outsiders", no_outsiders)
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    assert reached(harness, members) == (set(members), set())
    rows = [r for r in await harness.rows(submitted.alert_id) if r["citizen"] not in members]
    assert rows
    assert {(r["state"], r["reason"]) for r in rows} == {("suppressed", "not-a-participant")}
    assert await walls_alarmed(harness) == {"throttle"}
    async with harness.db.begin() as c:
        now = harness.clock.now()
        (outsider,) = await explain(c, submitted.alert_id, rows[0]["citizen"], now=now)
        (member,) = await explain(c, submitted.alert_id, min(members), now=now)
    assert outsider.rules[0].decides
    assert outsider.rules[0].answer.startswith("The citizen is on none of the rosters")
    assert not member.rules[0].decides
    assert member.rules[0].answer == "No."


async def test_throttle_failure_lets_no_drill_through(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    submitted = await harness.submit(drill)
    planner = harness.worker()
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, DEAD_ADDRESS)
    await planner.sweep()
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, submitted.alert_id)
        notified = select(delivery.c.citizen_id).where(delivery.c.state == "accepted")
        one = await c.scalar(notified.order_by(delivery.c.id).limit(1))
        pending = list((await deliveries.as_evaluated(c, submitted.alert_id, one or 0)).values())
    assert stored is not None
    evaluator: ChunkEvaluator = harness.evaluator()
    (decision, *_) = evaluator.without_rules(replace(stored, state=AlertState.DELIVERING), pending)
    assert (decision.action, decision.reason) == (Action.DROP, Reason.NOT_A_PARTICIPANT)
    real = replace(stored, status="Actual", state=AlertState.DELIVERING)
    assert evaluator.without_rules(real, pending)[0].action is Action.SEND


def dead(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, DEAD_ADDRESS)


async def failed_by_sms(harness: DispatchHarness, drill: bytes) -> tuple[UUID, set[str]]:
    """A drill that reached nobody by SMS, and the members who have another channel."""
    harness.channels["sms"].answer = dead
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    rows = [r for r in await harness.rows(submitted.alert_id) if r["state"] == "failed"]
    two = {c.ref for c in harness.citizens if len(c.endpoints) > 1}
    both = {r["citizen"] for r in rows} & two
    assert len(both) > 1
    return submitted.alert_id, both


async def test_escalation_of_drill_reaches_members_only(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    alert_id, both = await failed_by_sms(harness, drill)
    gone = min(both)
    await leave(harness, gone)
    await record_outcomes(harness)
    rows = [r for r in await harness.rows(alert_id) if r["reason"] == "unreached"]
    assert {r["citizen"] for r in rows} == both - {gone}
    assert {r["state"] for r in rows} == {"accepted"}
    assert await walls_alarmed(harness) == set()


async def test_escalation_of_drill_when_provider_is_down(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    harness.channels["sms"].answer = down
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    await age(harness, harness.settings.receipt_routine_s + LATER_S)
    await record_outcomes(harness)
    rows = await harness.rows(submitted.alert_id)
    late = {r["citizen"] for r in rows if r["state"] == "planned"}
    two = {c.ref for c in harness.citizens if len(c.endpoints) > 1}
    assert len(late & two) > 1
    assert {r["citizen"] for r in rows if r["reason"] == "unreached"} == late & two
    assert reached(harness, members)[1] == set()


async def test_escalation_of_drill_passes_the_throttle(
    harness: DispatchHarness,
    drill: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alert_id, both = await failed_by_sms(harness, drill)
    gone = min(both)
    await leave(harness, gone)
    monkeypatch.setattr(drill_walls, "participants", all_take_part)
    sent = len(harness.sent)
    await record_outcomes(harness)
    endpoints = {m.endpoint for m in harness.sent[sent:]}
    assert endpoints
    assert not endpoints & members[gone]
    late = [r for r in await harness.rows(alert_id) if r["reason"] == "not-a-participant"]
    assert {(r["citizen"], r["state"]) for r in late} == {(gone, "suppressed")}


async def test_escalation_to_outsider_stops_only_that_drill(
    harness: DispatchHarness,
    drill: bytes,
    alert_xml: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Maintenance does the work of all alerts in one transaction."""
    alert_id, both = await failed_by_sms(harness, drill)
    real = await harness.submit(alert_xml.replace(b"flood-0001", b"flood-0002"))
    outsider = min(both)
    async with harness.db.begin() as c:
        never = select(citizen.c.id).where(citizen.c.ref == outsider).scalar_subquery()
        await c.execute(delete(roster_member).where(roster_member.c.citizen_id == never))
    monkeypatch.setattr(drill_walls, "participants", all_take_part)
    sent = len(harness.sent)
    await record_outcomes(harness)
    state, reason = await state_of(harness, alert_id)
    assert (state, "1 of its deliveries" in reason) == (AlertState.CANCELLED, True)
    assert not {m.endpoint for m in harness.sent[sent:] if m.drill} & members[outsider]
    assert await walls_alarmed(harness) == {"plan"}
    assert len([r for r in await harness.rows(alert_id) if r["citizen"] == outsider]) == 1
    assert [r for r in await harness.rows(real.alert_id) if r["reason"] == "unreached"]


async def test_drill_end_goes_to_members_it_reached(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    first, second, *_ = sorted(members)
    await leave(harness, first)
    async with harness.db.begin() as c:
        never = select(citizen.c.id).where(citizen.c.ref == second).scalar_subquery()
        await c.execute(delete(roster_member).where(roster_member.c.citizen_id == never))
    sent = len(harness.sent)
    notice = await harness.submit(await harness.cancel_of(submitted.alert_id))
    await harness.worker().sweep()
    rows = await harness.rows(notice.alert_id)
    assert {r["citizen"] for r in rows} == set(members) - {first, second}
    assert len(harness.sent) - sent == len(rows)
    assert await walls_alarmed(harness) == {"query"}, "one of them should never have been reached"


async def test_channel_refuses_drill_without_pass(
    harness: DispatchHarness,
    drill: bytes,
    members: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def all_members(
        _: AsyncConnection, __: UUID, ___: Sequence[str], ids: Sequence[int]
    ) -> dict[int, bool]:
        return dict.fromkeys(ids, True)

    monkeypatch.setattr(audience, "find", public)
    monkeypatch.setattr(drill_walls, "outsiders", no_outsiders)
    monkeypatch.setattr(drill_walls, "memberships", all_members)
    submitted = await harness.submit(drill)
    await harness.worker().sweep()
    assert reached(harness, members) == (set(members), set())
    rows = [r for r in await harness.rows(submitted.alert_id) if r["citizen"] not in members]
    assert {(r["state"], r["reason"], r["code"], r["tries"]) for r in rows} == {
        ("failed", "drill-refused", "no-pass", 0)
    }
    assert await walls_alarmed(harness) == {"channel"}


async def test_drill_reaches_member_at_new_address(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    async with harness.db.begin() as c:
        await c.exec_driver_sql("update address set endpoint = 'new.' || endpoint")
    await harness.submit(drill)
    await harness.worker().sweep()
    assert harness.sent
    assert all(m.endpoint.startswith("new.") for m in harness.sent)
    assert await walls_alarmed(harness) == set()


async def test_large_drill_waits_for_approval_but_its_end_does_not(
    harness: DispatchHarness, drill: bytes, members: dict[str, set[str]]
) -> None:
    submitted = await harness.submit(drill, drill_roster_max=len(members) - 1)
    assert submitted.state is AlertState.HELD
    assert "alerting approve" in submitted.notes[-1]
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, submitted.alert_id)
        (alarm,) = await stored_alarms.open_alarms(c)
    assert stored is not None
    notified = approvers.notice(stored, public_url="https://alerts.example.org")
    assert {
        t.partition(": ")[0]
        for t in (alarm.sentence, notified.subject, notified.text, notified.short)
    } == {"EXERCISE"}
    await harness.worker().sweep()
    assert harness.sent == []
    await approve(
        harness.db,
        harness.notifier,
        submitted.alert_id,
        principal=internal("second"),
        clock=harness.clock,
    )
    await harness.worker().sweep()
    assert reached(harness, members) == (set(members), set())
    sent = len(harness.sent)
    notice = await harness.submit(await harness.cancel_of(submitted.alert_id), drill_roster_max=1)
    assert notice.state is AlertState.ACCEPTED
    await harness.worker(Lane.DRILL).sweep()
    assert len(harness.sent) > sent
