"""The way of an alert: submitted, planned, delivered, in the ledger, told to exactly its area."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from dispatch_harness import DispatchHarness, Recorder
from sqlalchemy import select, text

from alerting.cap import to_xml
from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    OUR_FAULT,
    PROVIDER_DOWN,
    Outcome,
    Outgoing,
)
from alerting.dispatch.status import status
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.domain.links import Links
from alerting.errors import BadInput, Conflict
from alerting.store.citizens import directory
from alerting.store.schema import address


async def test_alert_reaches_everybody_in_area_once(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    assert submitted.lane is Lane.SEVERE
    await harness.worker().sweep()
    notified = sorted((m.rendering.channel, m.endpoint) for m in harness.sent)
    assert notified == sorted(harness.expected(alert_xml))
    async with harness.db.begin() as connection:
        found = await status(connection, submitted.alert_id)
    assert found.state == AlertState.COMPLETED
    assert sum(c.accepted for c in found.channels.values()) == len(notified)
    assert all(c.open == 0 for c in found.channels.values())


async def test_message_is_in_language_of_citizen(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    await harness.worker().sweep()
    wanted = {e: c.language for c in harness.citizens for e in c.endpoints.values()}
    assert {wanted[m.endpoint] for m in harness.sent} == {"en", "es"}
    for m in harness.sent:
        assert ("Marejada" in m.rendering.text + m.rendering.subject) == (
            wanted[m.endpoint] == "es"
        )


async def test_message_times_are_in_zone_of_citizen(harness: DispatchHarness, flood: Alert) -> None:
    """Those in two zones and those in none share chunks, and each text has its reader's time."""
    async with harness.db.begin() as c:
        await c.execute(
            text(
                "update citizen set time_zone = case id % 3 when 0 then 'Asia/Tokyo'"
                " when 1 then 'Europe/London' else 'UTC' end"
            )
        )
        rows = await c.execute(
            text(
                "select a.endpoint, c.time_zone from address a join citizen c on c.id = citizen_id"
            )
        )
        zones = {row.endpoint: row.time_zone for row in rows}
    sent = harness.clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    end = sent + timedelta(hours=6)
    harness.begin_at(sent)
    data = to_xml(
        replace(
            flood,
            sent=sent.astimezone(timezone(timedelta(hours=-7))),
            infos=tuple(
                replace(i, onset=None, expires=end.astimezone(timezone(timedelta(hours=-7))))
                for i in flood.infos
            ),
        )
    )
    await harness.submit(data, now=False)
    await harness.worker().sweep()
    wanted = {
        "Asia/Tokyo": f"{end.astimezone(ZoneInfo('Asia/Tokyo')).hour}:00",
        "Europe/London": f"{end.astimezone(ZoneInfo('Europe/London')).hour}:00",
        "UTC": "11:00 (UTC-7)",
    }
    assert {zones[m.endpoint] for m in harness.sent} == set(wanted)
    for m in harness.sent:
        assert wanted[zones[m.endpoint]] in m.rendering.text
        assert ("UTC" in m.rendering.text) is (zones[m.endpoint] == "UTC")


async def test_message_has_short_link_of_alert(harness: DispatchHarness, alert_xml: bytes) -> None:
    first = await harness.submit(alert_xml)
    second = await harness.submit(alert_xml.replace(b"flood-0001", b"flood-0002"))
    codes = [await harness.code(a.alert_id) for a in (first, second)]
    assert len({*codes}) == 2
    await harness.worker().sweep()
    assert {m.rendering.link for m in harness.sent} <= {
        f"{harness.settings.public_url}/{code}" for code in codes
    }


async def test_message_without_code_has_long_link(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    async with harness.db.begin() as c:
        await c.execute(text("update alert set code = null"))
    await harness.worker().sweep()
    assert {m.rendering.link for m in harness.sent} == {
        f"{harness.settings.public_url}/a/{submitted.alert_id}"
    }


async def test_email_has_unsubscribe_link_of_its_citizen(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    await harness.worker().sweep()
    mails = harness.channels["email"].sent
    read = {m.endpoint: Links(b"k" * 32).leaving(m.unsubscribe_token).address_id for m in mails}
    async with harness.db.begin() as connection:
        rows = await connection.execute(select(address.c.endpoint, address.c.id))
    assert read.items() <= {(row.endpoint, row.id) for row in rows}
    assert mails


async def test_submit_twice_is_one_alert(harness: DispatchHarness, alert_xml: bytes) -> None:
    first = await harness.submit(alert_xml, idempotency_key="k")
    again = await harness.submit(alert_xml, idempotency_key="k")
    assert (again.alert_id, again.created) == (first.alert_id, False)
    with pytest.raises(Conflict, match=r"'k' was used before with another body.*new key"):
        await harness.submit(alert_xml.replace(b"one metre", b"two metres"), idempotency_key="k")
    twin = await harness.submit(alert_xml)
    assert twin.alert_id == first.alert_id
    with pytest.raises(Conflict, match="send an Update"):
        await harness.submit(alert_xml.replace(b"one metre", b"two metres"))


async def test_submit_refuses_expired_alert(harness: DispatchHarness, alert_xml: bytes) -> None:
    old = alert_xml.replace(b"2026-11-01", b"2020-11-01")
    with pytest.raises(BadInput, match=r"expired at 2020.*--now"):
        await harness.submit(old, now=False)


async def test_alert_expiring_meanwhile_is_not_sent(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    harness.clock.advance(9 * 3600)
    await harness.worker().sweep()
    assert harness.sent == []
    assert {(s, r) for _, s, r in await harness.ledger(submitted.alert_id)} == {
        ("expired", "expired")
    }


async def test_cancel_stops_the_rest_and_reaches_those_notified(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    worker = harness.worker()
    planned = len(harness.expected(alert_xml))

    def cut(m: Outgoing) -> Outcome:
        return Outcome(m.delivery_id, None if len(harness.sent) <= 40 else PROVIDER_DOWN)

    for channel in harness.channels.values():
        channel.answer = cut
    await worker.sweep()
    reached = await harness.ledger(submitted.alert_id)
    accepted = sum(n for (_, s, _), n in reached.items() if s == "accepted")
    assert 0 < accepted < planned
    harness.channels |= {name: Recorder(name) for name in harness.channels}
    harness.clock.advance(60)
    await harness.submit(await harness.cancel_of(submitted.alert_id), now=False)
    await harness.due_now()
    await harness.worker().sweep()
    assert len(harness.sent) == accepted
    after = await harness.ledger(submitted.alert_id)
    assert sum(n for (_, s, _), n in after.items() if s == "revoked") == planned - accepted


async def test_dead_addresses_are_suspended_but_not_for_our_errors(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, DEAD_ADDRESS, "", "21211")
    harness.channels["email"].answer = lambda m: Outcome(m.delivery_id, OUR_FAULT, "", "535")
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    ledger = await harness.ledger(submitted.alert_id)
    assert {(s, r) for c, s, r in ledger if c == "sms"} == {("failed", "dead-address")}
    assert {s for c, s, _ in ledger if c == "email"} == {"planned"}
    async with harness.db.begin() as connection:
        stats = await directory.stats(connection)
    sms, email = stats["channels"]["sms"], stats["channels"]["email"]
    assert sms["addresses"] - sms["usable"] == sum(
        n for (c, s, _), n in ledger.items() if c == "sms"
    )
    assert email["addresses"] == email["usable"]


async def test_window_refused_as_a_whole_does_not_block_others(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    first = {m[1] for m in sorted(harness.expected(alert_xml)) if m[0] == "sms"}
    stuck = set(sorted(first)[: len(first) // 2])

    def half(m: Outgoing) -> Outcome:
        return Outcome(m.delivery_id, PROVIDER_DOWN if m.endpoint in stuck else None)

    harness.channels["sms"].answer = half
    submitted = await harness.submit(alert_xml)
    for _ in range(40):
        await harness.due_now()
        await harness.worker().sweep()
        ledger = await harness.ledger(submitted.alert_id)
        accepted = sum(n for (c, s, _), n in ledger.items() if (c, s) == ("sms", "accepted"))
        if accepted == len(first - stuck):
            break
    assert accepted == len(first - stuck)
    assert sum(n for (c, s, _), n in ledger.items() if (c, s) == ("sms", "planned")) == len(stuck)


async def test_doubt_is_resolved_while_its_chunk_continues(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    """Its time comes while the others of its chunk are sent."""
    tried: set[str] = set()

    def first_time(m: Outgoing) -> Outcome:
        tried.add(m.endpoint)
        return Outcome(m.delivery_id, AMBIGUOUS if len(tried) == 1 else PROVIDER_DOWN)

    def slow(m: Outgoing) -> Outcome:
        harness.clock.advance(6)
        return Outcome(m.delivery_id)

    harness.settings.in_doubt_wait_s = 5
    harness.channels["sms"].answer = first_time
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    harness.channels["sms"].answer = slow
    harness.clock.advance(3)
    await harness.due_now()
    await harness.worker().sweep_in_order()
    ledger = await harness.ledger(submitted.alert_id)
    assert not [c for c, s, _ in ledger if c == "sms" and s in {"planned", "in_doubt"}], ledger


async def test_delivery_in_doubt_is_resent_and_flagged(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    tried: set[str] = set()

    def unsure_once(m: Outgoing) -> Outcome:
        if m.endpoint in tried or m.endpoint[-1] not in "05":
            return Outcome(m.delivery_id)
        tried.add(m.endpoint)
        return Outcome(m.delivery_id, AMBIGUOUS)

    harness.channels["sms"].answer = unsure_once
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    ledger = await harness.ledger(submitted.alert_id)
    in_doubt = sum(n for (c, s, _), n in ledger.items() if c == "sms" and s == "in_doubt")
    assert in_doubt == len(tried) > 0
    first = len(harness.channels["sms"].sent)
    harness.clock.advance(60)
    await harness.due_now()
    await harness.worker().sweep()
    assert len(harness.channels["sms"].sent) == first + in_doubt
    rows = await harness.rows(submitted.alert_id)
    flagged = [r for r in rows if r["possible_duplicate"]]
    assert len(flagged) == in_doubt
    assert {r["state"] for r in flagged} == {"accepted"}
