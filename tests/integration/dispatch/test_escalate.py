"""Whoever one channel does not reach hears by the next, once, and only while it still matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import func, select, update

from alerting.channels.base import DEAD_ADDRESS, REFUSED_CONTENT, Outcome, Outgoing
from alerting.dispatch.receipts import apply_receipts
from alerting.store.admin import stored_alarms
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import address, alert, delivery, outbox


def refuse(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, DEAD_ADDRESS, provider_code="21614")


async def record_outcomes(harness: DispatchHarness) -> None:
    """Let everything that is due happen, until nothing more is."""
    for _ in range(4):
        await harness.maintenance().run_once()
        await harness.due_now()
        await harness.worker().sweep()


async def follow_ups(
    harness: DispatchHarness, alert_id: UUID
) -> list[tuple[str, str, str, str, str]]:
    """(channel it followed, its state, channel, state, reason) of each escalated delivery."""
    first = delivery.alias()
    query = (
        select(
            first.c.channel, first.c.state, delivery.c.channel, delivery.c.state, delivery.c.reason
        )
        .join(first, first.c.id == delivery.c.follows)
        .where(delivery.c.alert_id == alert_id)
    )
    async with harness.db.begin() as c:
        return [tuple(row) for row in await c.execute(query)]  # type: ignore[misc]


async def others(harness: DispatchHarness, alert_id: UUID, channel: str) -> int:
    """How many citizens told by `channel` have another channel to be told by."""
    more = select(address.c.id).where(
        address.c.citizen_id == delivery.c.citizen_id, address.c.channel != channel
    )
    query = select(delivery.c.citizen_id).where(
        delivery.c.alert_id == alert_id,
        delivery.c.channel == channel,
        delivery.c.follows.is_(None),
        more.exists(),
    )
    async with harness.db.begin() as c:
        return len((await c.execute(query)).all())


async def test_escalation_follows_failure_once(harness: DispatchHarness, alert_xml: bytes) -> None:
    harness.channels["sms"].answer = refuse
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    expected = await others(harness, submitted.alert_id, "sms")
    assert expected > 20
    await record_outcomes(harness)
    found = await follow_ups(harness, submitted.alert_id)
    assert len(found) == expected
    assert {(c, s) for c, s, *_ in found} == {("sms", "failed")}
    assert {(c, s, r) for _, _, c, s, r in found} <= {
        ("email", "accepted", "unreached"),
        ("push", "accepted", "unreached"),
    }
    endpoints = Counter(m.endpoint for m in harness.sent)
    assert max(endpoints.values()) == 1
    await record_outcomes(harness)
    assert len(await follow_ups(harness, submitted.alert_id)) == expected


async def test_escalation_goes_on_to_third_channel(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    async with harness.db.begin() as c:
        # Everybody who has a phone number has all three.
        await c.exec_driver_sql(
            """insert into address (citizen_id, channel, endpoint)
               select s.citizen_id, n.name, n.name || s.citizen_id || '@example.org'
               from address s cross join (values ('email'), ('push')) as n (name)
               where s.channel = 'sms' and not exists (
                 select from address o where o.citizen_id = s.citizen_id and o.channel = n.name)"""
        )
    harness.channels["sms"].answer = refuse
    harness.channels["email"].answer = lambda m: Outcome(m.delivery_id, REFUSED_CONTENT)
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    for _ in range(3):
        await record_outcomes(harness)
    pairs = {(a, b) for a, _, b, _, _ in await follow_ups(harness, submitted.alert_id)}
    assert {("sms", "email"), ("email", "push")} <= pairs
    seen = Counter((r["citizen"], r["channel"]) for r in await harness.rows(submitted.alert_id))
    assert max(seen.values()) == 1


async def report(harness: DispatchHarness, alert_id: UUID, *, but: int = 0) -> list[int]:
    """Report every SMS but `but` as delivered, citizens with and without another channel among
    them; returns the ids left out."""
    rows = [r["id"] for r in await harness.rows(alert_id) if r["channel"] == "sms"]
    left_out = rows[:: len(rows) // but][:but] if but else []
    notified = [i for i in rows if i not in left_out]
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", i, "ok", "delivered", "") for i in notified])
    return left_out


async def test_escalation_follows_missing_receipt_after_timeout(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    left_out = await report(harness, submitted.alert_id, but=9)
    harness.clock.advance(harness.settings.receipt_severe_s - 1)
    await record_outcomes(harness)
    assert await follow_ups(harness, submitted.alert_id) == []
    harness.clock.advance(2)
    await record_outcomes(harness)
    async with harness.db.begin() as c:
        followed = (
            await c.execute(select(delivery.c.follows).where(delivery.c.follows.is_not(None)))
        ).scalars()
        assert set(followed) <= set(left_out)
    assert {s for _, s, *_ in await follow_ups(harness, submitted.alert_id)} == {"accepted"}


@pytest.mark.parametrize(("severity", "all_again"), [("Severe", True), ("Moderate", False)])
async def test_escalation_without_receipts_only_for_severe_alerts(
    harness: DispatchHarness, alert_xml: bytes, severity: str, *, all_again: bool
) -> None:
    data = alert_xml.replace(b"<severity>Severe<", f"<severity>{severity}<".encode())
    harness.settings.receipt_routine_s = harness.settings.receipt_severe_s
    submitted = await harness.submit(data)
    for _ in range(3):
        await record_outcomes(harness)
        harness.clock.advance(60)
    assert any(r["channel"] == "sms" for r in await harness.rows(submitted.alert_id))
    harness.clock.advance(harness.settings.receipt_severe_s + 1)
    await record_outcomes(harness)
    assert bool(await follow_ups(harness, submitted.alert_id)) is all_again


async def test_escalation_follows_failure_reported_late(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    await report(harness, submitted.alert_id)
    await record_outcomes(harness)
    rows = [r["id"] for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms"]
    async with harness.db.begin() as c:
        await c.execute(update(outbox).values(check_at=None))
        # As a report that overtook `delivered` would have left it.
        await c.execute(update(delivery).where(delivery.c.id.in_(rows)).values(state="accepted"))
        await receipt_intake.add(
            c, [NewReceipt("sms", i, "ok", "undelivered", "30003") for i in rows]
        )
    await record_outcomes(harness)
    found = await follow_ups(harness, submitted.alert_id)
    assert len(found) == await others(harness, submitted.alert_id, "sms")


@pytest.mark.parametrize("end", ["cancelled", "superseded", "expired"])
async def test_escalation_stops_when_alert_has_ended(
    harness: DispatchHarness, alert_xml: bytes, end: str
) -> None:
    harness.channels["sms"].answer = refuse
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    if end == "expired":
        harness.clock.advance(timedelta(days=2).total_seconds())
    else:
        async with harness.db.begin() as c:
            await c.execute(update(alert).values(state=end))
    await record_outcomes(harness)
    assert await follow_ups(harness, submitted.alert_id) == []


async def test_escalation_skips_citizen_reached_at_other_address(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    async with harness.db.begin() as c:
        # A second phone for everybody who has one; only the first is dead.
        await c.exec_driver_sql(
            """insert into address (citizen_id, channel, endpoint)
               select citizen_id, channel, endpoint || '00' from address where channel = 'sms'"""
        )

    def first_is_dead(m: Outgoing) -> Outcome:
        return Outcome(m.delivery_id) if len(m.endpoint) > len("+447700900000") else refuse(m)

    harness.channels["sms"].answer = first_is_dead
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    await record_outcomes(harness)
    assert await follow_ups(harness, submitted.alert_id) == []


async def test_escalation_is_idempotent_over_receipts(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    rows = [r["id"] for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms"]
    for _ in range(2):
        async with harness.db.begin() as c:
            await receipt_intake.add(
                c, [NewReceipt("sms", i, "ok", "undelivered", "30003") for i in rows]
            )
            await apply_receipts(c)
        await record_outcomes(harness)
    found = await follow_ups(harness, submitted.alert_id)
    assert len(found) == await others(harness, submitted.alert_id, "sms")


def all_but_the_first() -> Callable[[Outgoing], Outcome]:
    seen = []

    def answer(m: Outgoing) -> Outcome:
        seen.append(m)
        return refuse(m) if len(seen) == 1 else Outcome(m.delivery_id, provider_ref="ok")

    return answer


async def test_missing_receipts_alarm_only_for_reporting_channels(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    """Mail and push never report: one that was refused makes nobody suspect the others."""
    for name in ("email", "push"):
        harness.channels[name].answer = all_but_the_first()
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    rows = await harness.rows(submitted.alert_id)
    silent = [r for r in rows if r["channel"] != "sms"]
    assert {(r["channel"], r["state"]) for r in silent} == {
        (channel, state) for channel in ("email", "push") for state in ("accepted", "failed")
    }
    # Every chunk is looked at, some of them after their time.
    past = func.now() - timedelta(days=1)
    async with harness.db.begin() as c:
        await c.execute(update(delivery).values(accepted_at=past, planned_at=past))
        await c.execute(update(outbox).where(outbox.c.kind == "deliver").values(check_at=past))
    await record_outcomes(harness)
    async with harness.db.begin() as c:
        found = [(a.kind, a.subject) for a in await stored_alarms.open_alarms(c)]
    assert ("receipts-missing", "sms") in found
    assert {subject for kind, subject in found if kind == "receipts-missing"} == {"sms"}
