"""One endpoint, several citizens: it hears an alert once, and nobody is left untold by that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dispatch_harness import DispatchHarness
from household import (
    PHONE,
    dead,
    down,
    live_here,
    moderate,
    quiet,
    report,
    story,
    taken,
    wait_over,
    work_ids,
)
from sqlalchemy import update
from test_escalate import record_outcomes
from test_outcomes import D

from alerting.dispatch.evaluation.shared_endpoints import one_per_endpoint
from alerting.domain.alert import Alert
from alerting.domain.decision import Action, Decision, Reason
from alerting.store.schema import outbox

SEND, SILENT, DIGEST = (
    Decision(v, Reason.NEW) for v in (Action.SEND, Action.SILENT, Action.DIGEST)
)
CLOSED = Decision(Action.DROP, Reason.OPTED_OUT)
NOTIFIED = Decision(Action.DROP, Reason.ALREADY_TOLD)

COUPLE = {
    "first": {"sms": PHONE, "email": "first@example.org"},
    "second": {"sms": PHONE, "email": "second@example.org"},
}


@pytest.mark.parametrize("chunk_size", [50, 1])
@pytest.mark.parametrize("how", ["at once", "by a report", "never accepted"])
async def test_shared_phone_failure_escalates_for_both(
    harness: DispatchHarness, alert_xml: bytes, chunk_size: int, how: str
) -> None:
    await live_here(harness, alert_xml, **COUPLE)
    harness.settings.chunk_size = chunk_size
    harness.channels["sms"].answer = {"at once": dead, "never accepted": down}.get(how, taken)
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    if how == "by a report":
        assert len(harness.channels["sms"].sent) == 1
        assert (await story(harness, alert_id))["second"] == {"sms": "suppressed already-told"}
        await report(harness, alert_id, "delivered", of="second")
        await report(harness, alert_id, "undelivered", of="first")
        await record_outcomes(harness)
    elif how == "never accepted":
        await wait_over(harness)
    for ways in (await story(harness, alert_id)).values():
        assert ways["email"] == "accepted unreached"
    mails = len(harness.channels["email"].sent)
    await wait_over(harness)
    assert (mails, len(harness.channels["email"].sent)) == (2, 2)


async def test_shared_phone_success_escalates_for_neither(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, **COUPLE)
    alert_id = (await harness.submit(alert_xml)).alert_id
    await record_outcomes(harness)
    await report(harness, alert_id, "delivered", of="first")
    async with harness.db.begin() as c:
        await c.execute(update(outbox).values(check_at=harness.clock.now()))
    await wait_over(harness)
    assert await story(harness, alert_id) == {
        "first": {"sms": "delivered new"},
        "second": {"sms": "suppressed already-told"},
    }
    assert len(harness.sent) == 1


async def test_shared_phone_in_two_chunks_is_called_once(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, **COUPLE)
    harness.settings.chunk_size = 1
    alert_id = (await harness.submit(alert_xml)).alert_id
    plan, *_ = await work_ids(harness)
    await harness.work_on(plan)
    _, first, second = await work_ids(harness)
    await harness.work_on(second)
    assert harness.sent == []
    await harness.work_on(first)
    await record_outcomes(harness)
    assert len(harness.sent) == 1
    assert await story(harness, alert_id) == {
        "first": {"sms": "accepted new"},
        "second": {"sms": "suppressed already-told"},
    }


@pytest.mark.parametrize("chunk_size", [50, 1])
async def test_sleeping_citizen_does_not_silence_shared_phone(
    harness: DispatchHarness, flood: Alert, alert_xml: bytes, chunk_size: int
) -> None:
    await live_here(harness, alert_xml, **COUPLE)
    harness.settings.chunk_size = chunk_size
    harness.begin_at(datetime(2026, 11, 24, 12, tzinfo=UTC))
    await quiet(harness, "first", from_=11, to=15)
    alert_id = (await harness.submit(moderate(harness, flood, hours=20))).alert_id
    for _ in range(3):
        await record_outcomes(harness)
        harness.clock.advance(300)
    assert len(harness.channels["sms"].sent) == 1
    states = {name: ways["sms"] for name, ways in (await story(harness, alert_id)).items()}
    assert states["second"] == "accepted new"
    assert states["first"].startswith(("deferred", "suppressed already-told"))


@pytest.mark.parametrize(
    ("decisions", "can_be_silent", "become"),
    [
        ([SEND, SEND, SEND], True, [SEND, NOTIFIED, NOTIFIED]),
        ([SILENT, SEND], True, [NOTIFIED, SEND]),
        ([SILENT, SILENT], True, [SILENT, NOTIFIED]),
        # By a channel that cannot be silent nothing goes out.
        ([SILENT, SEND], False, [SILENT, SEND]),
        ([SILENT, SILENT], False, [SILENT, SILENT]),
        ([CLOSED, SEND, DIGEST], True, [CLOSED, SEND, NOTIFIED]),
        ([DIGEST, DIGEST], True, [DIGEST, DIGEST]),
    ],
)
def test_one_per_endpoint_sends_one(
    decisions: list[Decision], can_be_silent: bool, become: list[Decision]
) -> None:
    pending = [D._replace(id=n, endpoint=PHONE) for n in range(len(decisions))]
    assert one_per_endpoint(pending, decisions, can_be_silent=can_be_silent) == become
    apart = [D._replace(id=n, endpoint=f"{PHONE}{n}") for n in range(len(decisions))]
    assert one_per_endpoint(apart, decisions, can_be_silent=can_be_silent) == decisions
