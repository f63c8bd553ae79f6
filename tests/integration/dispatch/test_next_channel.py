"""The next channel comes in time: nothing undecided, and nobody else's fault, holds it up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from dispatch_harness import DispatchHarness
from household import (
    GONE,
    LATER_S,
    NOWHERE,
    age,
    dead,
    down,
    live_here,
    moderate,
    only_for,
    report,
    story,
    taken,
    wait_over,
    work_ids,
)
from sqlalchemy import func, select, update
from test_escalate import record_outcomes

from alerting.domain.alert import Alert
from alerting.store.admin import stored_alarms
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import delivery, outbox


async def test_escalation_is_not_held_up_by_dead_host(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(
        harness,
        alert_xml,
        gone={"push": GONE, "sms": "+447700900101"},
        deadhost={"push": NOWHERE, "sms": "+447700900102"},
    )
    harness.channels["push"].answer = lambda m: (dead if m.endpoint == GONE else down)(m)
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    assert await story(harness, alert_id) == {
        "gone": {"push": "failed dead-address", "sms": "accepted unreached"},
        "deadhost": {"push": "planned provider-down"},
    }
    await wait_over(harness)
    assert (await story(harness, alert_id))["deadhost"] == {
        "push": "planned provider-down",
        "sms": "accepted unreached",
    }


async def test_escalation_after_receipt_timeout_while_sms_is_down(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(
        harness,
        alert_xml,
        one={"sms": "+447700900101", "email": "one@example.org"},
        other={"sms": "+447700900102"},
    )
    harness.channels["sms"].answer = down
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    await age(harness, harness.settings.receipt_severe_s - LATER_S)
    await record_outcomes(harness)
    assert "email" not in (await story(harness, alert_id))["one"]
    await age(harness, 2 * LATER_S)
    await record_outcomes(harness)
    assert (await story(harness, alert_id))["one"]["email"] == "accepted unreached"
    for _ in range(3):
        await wait_over(harness)
    assert len(harness.channels["email"].sent) == 1
    # What was late may still come: rather twice than not at all.
    harness.channels["sms"].answer = taken
    await record_outcomes(harness)
    assert await story(harness, alert_id) == {
        "one": {"sms": "accepted new", "email": "accepted unreached"},
        "other": {"sms": "accepted new"},
    }


async def test_receipt_timeout_of_zero_never_escalates(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    harness.settings.receipt_severe_s = 0
    harness.channels["sms"].answer = down
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    await age(harness, 3600)
    await record_outcomes(harness)
    assert await story(harness, alert_id) == {"one": {"sms": "planned provider-down"}}


async def test_escalation_examines_unclaimed_chunk(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    alert_id = (await harness.submit(alert_xml)).alert_id
    [plan] = await work_ids(harness)
    await harness.work_on(plan)
    await harness.maintenance().run_once()
    assert await story(harness, alert_id) == {"one": {"sms": "planned "}}
    await age(harness, harness.settings.receipt_severe_s + LATER_S)
    for _ in range(2):
        await harness.maintenance().run_once()
    assert await story(harness, alert_id) == {"one": {"sms": "planned ", "email": "planned "}}


async def test_escalation_tries_failing_channels_one_at_a_time(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(
        harness,
        alert_xml,
        one={"push": NOWHERE, "sms": "+447700900101", "email": "one@example.org"},
    )
    for channel in harness.channels.values():
        channel.answer = down
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    for ways in (["push", "sms"], ["push", "sms", "email"], ["push", "sms", "email"]):
        await wait_over(harness)
        assert list((await story(harness, alert_id))["one"]) == ways


async def test_escalation_follows_failure_in_open_chunk(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(
        harness,
        alert_xml,
        one={"sms": "+447700900101", "email": "one@example.org"},
        other={"sms": "+447700900102", "email": "other@example.org"},
    )
    harness.channels["sms"].answer = only_for("+447700900102", down)
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    await report(harness, alert_id, "undelivered", of="one")
    await record_outcomes(harness)
    assert await story(harness, alert_id) == {
        "one": {"sms": "failed dead-address", "email": "accepted unreached"},
        "other": {"sms": "planned provider-down"},
    }


async def test_escalation_waits_for_no_worker(harness: DispatchHarness, alert_xml: bytes) -> None:
    await live_here(
        harness, alert_xml, one={"push": GONE, "sms": "+447700900101"}, other={"push": NOWHERE}
    )
    harness.channels["push"].answer = lambda m: (dead if m.endpoint == GONE else down)(m)
    alert_id = (await harness.submit(alert_xml)).alert_id
    await harness.worker().sweep()
    async with harness.db.begin() as worker:
        await worker.execute(update(outbox).values(rung_at=func.now()))
        async with asyncio.timeout(60):
            assert await harness.maintenance().run_once()
    assert "sms" not in (await story(harness, alert_id))["one"]
    await record_outcomes(harness)
    assert (await story(harness, alert_id))["one"]["sms"] == "accepted unreached"


async def test_escalation_follows_poisoned_chunk(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    harness.channels["sms"].answer = down
    alert_id = (await harness.submit(alert_xml)).alert_id
    await harness.worker().sweep()
    async with harness.db.begin() as c:
        tries = harness.settings.max_chunk_tries
        await c.execute(update(outbox).where(outbox.c.channel == "sms").values(tries=tries))
    await record_outcomes(harness)
    assert await story(harness, alert_id) == {
        "one": {"sms": "failed poisoned", "email": "accepted unreached"}
    }


async def test_email_without_reports_raises_no_alarm(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(
        harness, alert_xml, one={"email": "one@example.org"}, other={"email": "other@example.org"}
    )
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    async with harness.db.begin() as c:
        await c.execute(update(outbox).values(check_at=harness.clock.now()))
    await wait_over(harness)
    async with harness.db.begin() as c:
        assert await stored_alarms.open_alarms(c) == []
        assert await c.scalar(select(func.count(outbox.c.check_at))) == 0
    assert {w["email"] for w in (await story(harness, alert_id)).values()} == {"accepted new"}


async def test_escalation_time_begins_when_delivery_is_released(
    harness: DispatchHarness, flood: Alert, alert_xml: bytes
) -> None:
    """It has its time from when it was let go, and only then its next channel."""
    await live_here(
        harness,
        alert_xml,
        one={"push": GONE, "sms": "+447700900101", "email": "one@example.org"},
    )
    harness.begin_at(datetime(2026, 11, 24, 21, tzinfo=UTC))
    harness.channels["push"].answer = dead
    harness.channels["sms"].answer = down
    alert_id = (await harness.submit(moderate(harness, flood, hours=30), now=False)).alert_id
    await harness.worker().sweep()
    harness.clock.at = datetime(2026, 11, 24, 22, 1, tzinfo=UTC)
    await record_outcomes(harness)
    assert (await story(harness, alert_id))["one"]["sms"] == "deferred quiet-hours"
    async with harness.db.begin() as c:
        let_go_at = await c.scalar(select(delivery.c.due_at).where(delivery.c.state == "deferred"))
        assert let_go_at is not None
        for column in (outbox.c.check_at, delivery.c.planned_at):
            await c.execute(update(column.table).values({column: harness.clock.now()}))
    harness.clock.at = let_go_at + timedelta(seconds=1)
    await record_outcomes(harness)
    assert list((await story(harness, alert_id))["one"].items())[1:] == [
        ("sms", "planned provider-down")
    ]
    harness.clock.at = let_go_at + timedelta(seconds=harness.settings.receipt_routine_s + 1)
    await record_outcomes(harness)
    assert (await story(harness, alert_id))["one"]["email"] == "accepted unreached"


async def test_escalation_follows_lost_digest(
    harness: DispatchHarness, flood: Alert, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    harness.begin_at(datetime(2026, 11, 24, 23, tzinfo=UTC))
    alert_id = (await harness.submit(moderate(harness, flood, hours=14), now=False)).alert_id
    await record_outcomes(harness)
    assert harness.sent == []
    harness.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await record_outcomes(harness)
    async with harness.db.begin() as c:
        digest = await c.scalar(
            select(delivery.c.id).where(
                delivery.c.state == "accepted", delivery.c.reason == "digested"
            )
        )
        assert await c.scalar(select(func.count()).where(delivery.c.state == "suppressed")) == 1
        await receipt_intake.add(c, [NewReceipt("sms", digest or 0, "ok", "undelivered", "30005")])
    assert harness.channels["email"].sent == []
    for _ in range(2):
        await record_outcomes(harness)
    assert len(harness.channels["email"].sent) == 1
    rows = [(r["channel"], r["state"], r["reason"]) for r in await harness.rows(alert_id)]
    assert sorted(rows) == [
        ("email", "accepted", "unreached"),
        ("sms", "failed", "dead-address"),
        ("sms", "suppressed", "digested"),
    ]
