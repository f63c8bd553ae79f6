"""One endpoint, several citizens: it hears an alert once, and nobody is left untold by that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
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
from test_escalate import settle
from test_outcomes import D
from town import Town

from alerting.dispatch.judging.twins import one_each
from alerting.domain.alert import Alert
from alerting.domain.decision import Decision, Reason, Verdict
from alerting.store.schema import outbox

SEND, SILENT, DIGEST = (
    Decision(v, Reason.NEW) for v in (Verdict.SEND, Verdict.SILENT, Verdict.DIGEST)
)
CLOSED = Decision(Verdict.DROP, Reason.OPTED_OUT)
TOLD = Decision(Verdict.DROP, Reason.ALREADY_TOLD)

COUPLE = {
    "first": {"sms": PHONE, "email": "first@example.org"},
    "second": {"sms": PHONE, "email": "second@example.org"},
}


@pytest.mark.parametrize("chunk_size", [50, 1])
@pytest.mark.parametrize("how", ["at once", "by a report", "never accepted"])
async def test_both_who_share_a_phone_hear_otherwise_when_it_fails(
    town: Town, alert_xml: bytes, chunk_size: int, how: str
) -> None:
    await live_here(town, alert_xml, **COUPLE)
    town.settings.chunk_size = chunk_size
    town.channels["sms"].answer = {"at once": dead, "never accepted": down}.get(how, taken)
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    if how == "by a report":
        assert len(town.channels["sms"].sent) == 1
        assert (await story(town, alert_id))["second"] == {"sms": "suppressed already-told"}
        await report(town, alert_id, "delivered", of="second")
        await report(town, alert_id, "undelivered", of="first")
        await settle(town)
    elif how == "never accepted":
        await wait_over(town)
    for ways in (await story(town, alert_id)).values():
        assert ways["email"] == "accepted unreached"
    mails = len(town.channels["email"].sent)
    await wait_over(town)
    assert (mails, len(town.channels["email"].sent)) == (2, 2)


async def test_who_shares_a_phone_that_rang_is_told_no_other_way(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(town, alert_xml, **COUPLE)
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    await report(town, alert_id, "delivered", of="first")
    async with town.db.begin() as c:
        await c.execute(update(outbox).values(check_at=town.clock.now()))
    await wait_over(town)
    assert await story(town, alert_id) == {
        "first": {"sms": "delivered new"},
        "second": {"sms": "suppressed already-told"},
    }
    assert len(town.sent) == 1


async def test_of_two_chunks_with_one_phone_the_first_goes_first(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(town, alert_xml, **COUPLE)
    town.settings.chunk_size = 1
    alert_id = (await town.submit(alert_xml)).alert_id
    plan, *_ = await work_ids(town)
    await town.work_on(plan)
    _, first, second = await work_ids(town)
    await town.work_on(second)
    assert town.sent == []
    await town.work_on(first)
    await settle(town)
    assert len(town.sent) == 1
    assert await story(town, alert_id) == {
        "first": {"sms": "accepted new"},
        "second": {"sms": "suppressed already-told"},
    }


@pytest.mark.parametrize("chunk_size", [50, 1])
async def test_one_who_sleeps_keeps_nobody_from_hearing_by_the_phone_they_share(
    town: Town, flood: Alert, alert_xml: bytes, chunk_size: int
) -> None:
    await live_here(town, alert_xml, **COUPLE)
    town.settings.chunk_size = chunk_size
    town.begin_at(datetime(2026, 11, 24, 12, tzinfo=UTC))
    await quiet(town, "first", from_=11, to=15)
    alert_id = (await town.submit(moderate(town, flood, hours=20))).alert_id
    for _ in range(3):
        await settle(town)
        town.clock.advance(300)
    assert len(town.channels["sms"].sent) == 1
    states = {name: ways["sms"] for name, ways in (await story(town, alert_id)).items()}
    assert states["second"] == "accepted new"
    assert states["first"].startswith(("deferred", "suppressed already-told"))


@pytest.mark.parametrize(
    ("decisions", "can_be_silent", "become"),
    [
        ([SEND, SEND, SEND], True, [SEND, TOLD, TOLD]),
        ([SILENT, SEND], True, [TOLD, SEND]),
        ([SILENT, SILENT], True, [SILENT, TOLD]),
        # By a channel that cannot be silent nothing goes out.
        ([SILENT, SEND], False, [SILENT, SEND]),
        ([SILENT, SILENT], False, [SILENT, SILENT]),
        ([CLOSED, SEND, DIGEST], True, [CLOSED, SEND, TOLD]),
        ([DIGEST, DIGEST], True, [DIGEST, DIGEST]),
    ],
)
def test_of_those_who_share_an_endpoint_one_goes_out(
    decisions: list[Decision], can_be_silent: bool, become: list[Decision]
) -> None:
    pending = [D._replace(id=n, endpoint=PHONE) for n in range(len(decisions))]
    assert one_each(pending, decisions, can_be_silent=can_be_silent) == become
    apart = [D._replace(id=n, endpoint=f"{PHONE}{n}") for n in range(len(decisions))]
    assert one_each(apart, decisions, can_be_silent=can_be_silent) == decisions
