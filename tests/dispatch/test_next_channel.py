"""The next channel comes in time: nothing undecided, and nobody else's fault, holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from test_escalate import settle
from town import Town

from alerting.audience.synthetic import SyntheticCitizen, store
from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, PROVIDER_DOWN, Outcome, Outgoing
from alerting.domain.alert import Alert, Severity
from alerting.store import alarms, receipts
from alerting.store.escalations import AT_ONCE
from alerting.store.receipts import NewReceipt
from alerting.store.schema import citizen, delivery, outbox

#: A little more than the receipt time: deliveries are written by PostgreSQL's clock.
LATER_S = 30.0

GONE, NOWHERE = "https://push.example.org/gone", "https://nowhere.example.org/x"
PHONE = "+447700900111"


def taken(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, provider_ref="ok")


def dead(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, DEAD_ADDRESS, provider_code="410")


def down(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, PROVIDER_DOWN, provider_code="connect")


def only_for(endpoint: str, answer: Callable[[Outgoing], Outcome]) -> Callable[[Outgoing], Outcome]:
    return lambda m: answer(m) if m.endpoint == endpoint else taken(m)


async def live_here(town: Town, alert_xml: bytes, **people: dict[str, str]) -> None:
    """Have nobody live in the area but these: {name: {channel: endpoint}}, in their order."""
    told = {endpoint for _, endpoint in town.expected(alert_xml)}
    at = next(c for c in town.citizens if told & set(c.endpoints.values()))
    async with town.db.begin() as c:
        await c.exec_driver_sql("truncate citizen cascade")
        await store(
            c,
            [
                SyntheticCitizen(
                    name, "en", at.lat, at.lon, tuple(ways), ways, {"p256dh": "p", "auth": "a"}
                )
                for name, ways in people.items()
            ],
        )


async def story(town: Town, alert_id: UUID) -> dict[str, dict[str, str]]:
    """{citizen: {channel: state and reason}}."""
    found: dict[str, dict[str, str]] = {}
    for r in await town.rows(alert_id):
        ways = found.setdefault(r["citizen"], {})
        assert r["channel"] not in ways, "told twice by one channel"
        ways[r["channel"]] = f"{r['state']} {r['reason']}"
    return found


async def work_ids(town: Town) -> list[int]:
    async with town.db.begin() as c:
        return list(await c.scalars(select(outbox.c.id).order_by(outbox.c.id)))


async def age(town: Town, seconds: float) -> None:
    """Let so much time pass for what is written by now: PostgreSQL's clock cannot be moved."""
    by = timedelta(seconds=seconds)
    async with town.db.begin() as c:
        await c.execute(
            update(delivery).values(
                planned_at=delivery.c.planned_at - by, accepted_at=delivery.c.accepted_at - by
            )
        )
        asked = outbox.c.check_at == AT_ONCE
        await c.execute(update(outbox).where(~asked).values(check_at=outbox.c.check_at - by))


async def wait_over(town: Town) -> None:
    await age(town, town.settings.receipt_severe_s + LATER_S)
    await settle(town)


async def report(town: Town, alert_id: UUID, status: str, *, of: str) -> None:
    """The provider's report on one citizen's SMS."""
    ids = [
        r["id"]
        for r in await town.rows(alert_id)
        if (r["citizen"], r["channel"]) == (of, "sms") and r["state"] == "accepted"
    ]
    async with town.db.begin() as c:
        await receipts.add(c, [NewReceipt("sms", i, "ok", status, "30005") for i in ids])


def moderate(town: Town, flood: Alert, *, hours: float) -> bytes:
    """The flood as something that may wait, sent now."""
    now = town.clock.now()
    infos = tuple(
        replace(i, severity=Severity.MODERATE, onset=None, expires=now + timedelta(hours=hours))
        for i in flood.infos
    )
    return to_xml(replace(flood, sent=now, infos=infos))


async def quiet(town: Town, name: str, *, from_: int, to: int) -> None:
    """Give a citizen quiet hours of their own."""
    async with town.db.begin() as c:
        await c.execute(
            update(citizen)
            .where(citizen.c.ref == name)
            .values(quiet_from=time(from_), quiet_to=time(to))
        )


async def test_one_dead_host_keeps_nobody_from_the_next_channel_for_long(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(
        town,
        alert_xml,
        gone={"push": GONE, "sms": "+447700900101"},
        deadhost={"push": NOWHERE, "sms": "+447700900102"},
    )
    town.channels["push"].answer = lambda m: (dead if m.endpoint == GONE else down)(m)
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    assert await story(town, alert_id) == {
        "gone": {"push": "failed dead-address", "sms": "accepted unreached"},
        "deadhost": {"push": "planned provider-down"},
    }
    await wait_over(town)
    assert (await story(town, alert_id))["deadhost"] == {
        "push": "planned provider-down",
        "sms": "accepted unreached",
    }


async def test_while_the_sms_account_is_down_the_mail_comes_after_the_receipt_time(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(
        town,
        alert_xml,
        one={"sms": "+447700900101", "email": "one@example.org"},
        other={"sms": "+447700900102"},
    )
    town.channels["sms"].answer = down
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    await age(town, town.settings.receipt_severe_s - LATER_S)
    await settle(town)
    assert "email" not in (await story(town, alert_id))["one"]
    await age(town, 2 * LATER_S)
    await settle(town)
    assert (await story(town, alert_id))["one"]["email"] == "accepted unreached"
    for _ in range(3):
        await wait_over(town)
    assert len(town.channels["email"].sent) == 1
    # What was late may still come: rather twice than not at all.
    town.channels["sms"].answer = taken
    await settle(town)
    assert await story(town, alert_id) == {
        "one": {"sms": "accepted new", "email": "accepted unreached"},
        "other": {"sms": "accepted new"},
    }


async def test_a_receipt_time_of_zero_is_for_ever(town: Town, alert_xml: bytes) -> None:
    await live_here(town, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    town.settings.receipt_severe_s = 0
    town.channels["sms"].answer = down
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    await age(town, 3600)
    await settle(town)
    assert await story(town, alert_id) == {"one": {"sms": "planned provider-down"}}


async def test_a_chunk_that_nobody_has_taken_is_looked_at_too(town: Town, alert_xml: bytes) -> None:
    await live_here(town, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    alert_id = (await town.submit(alert_xml)).alert_id
    [plan] = await work_ids(town)
    assert await town.worker().handle(plan)
    await town.house().keep()
    assert await story(town, alert_id) == {"one": {"sms": "planned "}}
    await age(town, town.settings.receipt_severe_s + LATER_S)
    for _ in range(2):
        await town.house().keep()
    assert await story(town, alert_id) == {"one": {"sms": "planned ", "email": "planned "}}


async def test_channels_that_are_all_down_are_tried_one_at_a_time(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(
        town,
        alert_xml,
        one={"push": NOWHERE, "sms": "+447700900101", "email": "one@example.org"},
    )
    for channel in town.channels.values():
        channel.answer = down
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    for ways in (["push", "sms"], ["push", "sms", "email"], ["push", "sms", "email"]):
        await wait_over(town)
        assert list((await story(town, alert_id))["one"]) == ways


async def test_a_failure_reported_while_the_chunk_is_open_is_followed_at_once(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(
        town,
        alert_xml,
        one={"sms": "+447700900101", "email": "one@example.org"},
        other={"sms": "+447700900102", "email": "other@example.org"},
    )
    town.channels["sms"].answer = only_for("+447700900102", down)
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    await report(town, alert_id, "undelivered", of="one")
    await settle(town)
    assert await story(town, alert_id) == {
        "one": {"sms": "failed dead-address", "email": "accepted unreached"},
        "other": {"sms": "planned provider-down"},
    }


async def test_a_look_waits_for_no_worker(town: Town, alert_xml: bytes) -> None:
    await live_here(
        town, alert_xml, one={"push": GONE, "sms": "+447700900101"}, other={"push": NOWHERE}
    )
    town.channels["push"].answer = lambda m: (dead if m.endpoint == GONE else down)(m)
    alert_id = (await town.submit(alert_xml)).alert_id
    await town.worker().sweep()
    async with town.db.begin() as worker:
        await worker.execute(update(outbox).values(rung_at=func.now()))
        async with asyncio.timeout(10):
            assert await town.house().keep()
    assert "sms" not in (await story(town, alert_id))["one"]
    await settle(town)
    assert (await story(town, alert_id))["one"]["sms"] == "accepted unreached"


async def test_a_chunk_that_was_set_aside_is_followed(town: Town, alert_xml: bytes) -> None:
    await live_here(town, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    town.channels["sms"].answer = down
    alert_id = (await town.submit(alert_xml)).alert_id
    await town.worker().sweep()
    async with town.db.begin() as c:
        tries = town.settings.max_chunk_tries
        await c.execute(update(outbox).where(outbox.c.channel == "sms").values(tries=tries))
    await settle(town)
    assert await story(town, alert_id) == {
        "one": {"sms": "failed poisoned", "email": "accepted unreached"}
    }


async def test_mail_that_nobody_reports_on_is_no_cause_for_alarm(
    town: Town, alert_xml: bytes
) -> None:
    await live_here(
        town, alert_xml, one={"email": "one@example.org"}, other={"email": "other@example.org"}
    )
    alert_id = (await town.submit(alert_xml)).alert_id
    await settle(town)
    async with town.db.begin() as c:
        await c.execute(update(outbox).values(check_at=town.clock.now()))
    await wait_over(town)
    async with town.db.begin() as c:
        assert await alarms.open_alarms(c) == []
        assert await c.scalar(select(func.count(outbox.c.check_at))) == 0
    assert {w["email"] for w in (await story(town, alert_id)).values()} == {"accepted new"}


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
    assert await town.worker().handle(plan)
    _, first, second = await work_ids(town)
    assert await town.worker().handle(second)
    assert town.sent == []
    assert await town.worker().handle(first)
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


async def test_what_waits_on_purpose_is_not_late(
    town: Town, flood: Alert, alert_xml: bytes
) -> None:
    """It has its time from when it was let go, and only then its next channel."""
    await live_here(
        town,
        alert_xml,
        one={"push": GONE, "sms": "+447700900101", "email": "one@example.org"},
    )
    town.begin_at(datetime(2026, 11, 24, 21, tzinfo=UTC))
    town.channels["push"].answer = dead
    town.channels["sms"].answer = down
    alert_id = (await town.submit(moderate(town, flood, hours=30), now=False)).alert_id
    await town.worker().sweep()
    town.clock.at = datetime(2026, 11, 24, 22, 1, tzinfo=UTC)
    await settle(town)
    assert (await story(town, alert_id))["one"]["sms"] == "deferred quiet-hours"
    async with town.db.begin() as c:
        let_go_at = await c.scalar(select(delivery.c.due_at).where(delivery.c.state == "deferred"))
        assert let_go_at is not None
        for column in (outbox.c.check_at, delivery.c.planned_at):
            await c.execute(update(column.table).values({column: town.clock.now()}))
    town.clock.at = let_go_at + timedelta(seconds=1)
    await settle(town)
    assert list((await story(town, alert_id))["one"].items())[1:] == [
        ("sms", "planned provider-down")
    ]
    town.clock.at = let_go_at + timedelta(seconds=town.settings.receipt_routine_s + 1)
    await settle(town)
    assert (await story(town, alert_id))["one"]["email"] == "accepted unreached"


async def test_a_digest_that_is_reported_lost_leads_to_the_next_channel(
    town: Town, flood: Alert, alert_xml: bytes
) -> None:
    await live_here(town, alert_xml, one={"sms": "+447700900101", "email": "one@example.org"})
    town.begin_at(datetime(2026, 11, 24, 23, tzinfo=UTC))
    alert_id = (await town.submit(moderate(town, flood, hours=14), now=False)).alert_id
    await settle(town)
    assert town.sent == []
    town.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await settle(town)
    async with town.db.begin() as c:
        digest = await c.scalar(
            select(delivery.c.id).where(
                delivery.c.state == "accepted", delivery.c.reason == "digested"
            )
        )
        assert await c.scalar(select(func.count()).where(delivery.c.state == "suppressed")) == 1
        await receipts.add(c, [NewReceipt("sms", digest or 0, "ok", "undelivered", "30005")])
    assert town.channels["email"].sent == []
    for _ in range(2):
        await settle(town)
    assert len(town.channels["email"].sent) == 1
    rows = [(r["channel"], r["state"], r["reason"]) for r in await town.rows(alert_id)]
    assert sorted(rows) == [
        ("email", "accepted", "unreached"),
        ("sms", "failed", "dead-address"),
        ("sms", "suppressed", "digested"),
    ]
