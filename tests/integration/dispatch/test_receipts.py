from __future__ import annotations

import asyncio
import random
from itertools import permutations

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import select, update

from alerting.dispatch.receipts import Applied, apply_receipts
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.escalations import AT_ONCE
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import CHUNK_SPAN, address, delivery, outbox


async def a_delivery(harness: DispatchHarness, alert_xml: bytes) -> tuple[int, str]:
    """One accepted SMS: (its id, the provider's reference)."""
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    rows = await harness.rows(submitted.alert_id)
    return next(r["id"] for r in rows if r["channel"] == "sms"), "ok"


async def report(
    harness: DispatchHarness, id_: int, ref: str, *statuses: str, code: str = ""
) -> str:
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", id_, ref, s, code) for s in statuses])
        await apply_receipts(c)
        state = await c.scalar(select(delivery.c.state).where(delivery.c.id == id_))
    return str(state)


async def test_receipt_moves_delivery_forward(harness: DispatchHarness, alert_xml: bytes) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    assert await report(harness, id_, ref, "sent") == "accepted"
    assert await report(harness, id_, ref, "delivered") == "delivered"
    assert await report(harness, id_, ref, "delivered", "sent", "queued") == "delivered"


async def test_receipts_in_any_order_end_the_same(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    for order in permutations(["queued", "sent", "delivered"]):
        async with harness.db.begin() as c:
            await c.execute(update(delivery).where(delivery.c.id == id_).values(state="accepted"))
            await c.exec_driver_sql("truncate receipt")
        assert await report(harness, id_, ref, *order) == "delivered"


async def test_receipt_of_final_failure_suspends_dead_address(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    assert await report(harness, id_, ref, "undelivered", code="30005") == "failed"
    async with harness.db.begin() as c:
        row = (
            await c.execute(
                select(delivery.c.reason, delivery.c.code, address.c.suspended_reason)
                .join(address, address.c.id == delivery.c.address_id)
                .where(delivery.c.id == id_)
            )
        ).one()
    assert tuple(row) == ("dead-address", "30005", "dead-address")
    assert await report(harness, id_, ref, "sent") == "failed"


async def test_receipt_before_our_own_outcome_counts(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    async with harness.db.begin() as c:
        planned = {"state": "planned", "provider_ref": "", "accepted_at": None}
        await c.execute(update(delivery).where(delivery.c.id == id_).values(**planned))
    assert await report(harness, id_, ref, "delivered") == "delivered"


async def test_receipt_of_earlier_try_does_not_move_later_one(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, _ = await a_delivery(harness, alert_xml)
    assert await report(harness, id_, "SM-of-an-earlier-try", "undelivered") == "accepted"


@pytest.mark.parametrize("status", ["", "no-such-status"])
async def test_receipt_with_unknown_status_changes_nothing(
    harness: DispatchHarness, alert_xml: bytes, status: str
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    assert await report(harness, id_, ref, status) == "accepted"
    assert await report(harness, 999_999_999, ref, "delivered") == "None"


async def suspended(harness: DispatchHarness, id_: int) -> str | None:
    query = (
        select(address.c.suspended_reason)
        .join(delivery, address.c.id == delivery.c.address_id)
        .where(delivery.c.id == id_)
    )
    async with harness.db.begin() as c:
        found: str | None = await c.scalar(query)
    return found


@pytest.mark.parametrize(
    ("code", "reason", "dead"),
    [
        ("30005", "dead-address", True),
        ("30006", "unreachable", False),
        ("30003", "unreachable", False),
        ("30008", "unreachable", False),
        ("30007", "refused-content", False),
        ("30034", "refused-content", False),
        ("30002", "our-fault", False),
        ("30036", "too-late", False),
        ("30999", "unreachable", False),
        ("", "undelivered", False),
        ("soon", "refused-content", False),
    ],
)
async def test_receipt_suspends_address_only_for_its_own_fault(
    harness: DispatchHarness, alert_xml: bytes, code: str, reason: str, dead: bool
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    assert await report(harness, id_, ref, "failed", code=code) == "failed"
    async with harness.db.begin() as c:
        assert await c.scalar(select(delivery.c.reason).where(delivery.c.id == id_)) == reason
    assert await suspended(harness, id_) == (reason if dead else None)


async def test_receipt_of_opt_out_suppresses_instead_of_suspending(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    assert await report(harness, id_, ref, "failed", code="21610") == "failed"
    assert await suspended(harness, id_) is None
    query = (
        select(address.c.channel, address.c.endpoint, address.c.consent)
        .join(delivery, address.c.id == delivery.c.address_id)
        .where(delivery.c.id == id_)
    )
    async with harness.db.begin() as c:
        channel, endpoint, consent = (await c.execute(query)).one()
        found = await suppressions.of_endpoint(c, Endpoint(channel, endpoint))
    assert consent is False
    assert found is not None
    assert found.source is Source.CARRIER


async def test_receipt_of_another_channel_moves_nothing(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, _ = await a_delivery(harness, alert_xml)
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("email", id_, "", "failed", "550 5.1.1")])
        await apply_receipts(c)
        state = await c.scalar(select(delivery.c.state).where(delivery.c.id == id_))
    assert state == "accepted"
    assert await suspended(harness, id_) is None


async def test_receipt_of_any_try_counts_as_delivered(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    async with harness.db.begin() as c:
        tries = [("SM-first", "delivered"), (ref, "sent"), (ref, "undelivered")]
        await receipt_intake.add(c, [NewReceipt("sms", id_, r, s, "") for r, s in tries])
        applied = await apply_receipts(c)
        state = await c.scalar(select(delivery.c.state).where(delivery.c.id == id_))
    assert (applied.taken, state) == (3, "delivered")


async def test_receipt_of_locked_chunk_is_applied_now_escalated_later(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", id_, ref, "failed", "30008")])
    chunk = outbox.c.id == id_ // CHUNK_SPAN
    async with harness.db.begin() as worker:
        await worker.execute(update(outbox).where(chunk).values(check_at=None))
        # It neither waits for the worker nor forgets that somebody is to be told otherwise.
        async with asyncio.timeout(60), harness.db.begin() as c:
            assert await apply_receipts(c) == Applied(1, 1)
    async with harness.db.begin() as c:
        assert await apply_receipts(c) == Applied(1, 0)
        assert await apply_receipts(c) == Applied()
    async with harness.db.begin() as c:
        assert await c.scalar(select(outbox.c.check_at).where(chunk)) == AT_ONCE


async def test_receipt_of_locked_delivery_is_left_for_later(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(harness, alert_xml)
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", id_, ref, "delivered", "")])
        await receipt_intake.add(c, [NewReceipt("sms", 999_999_999, ref, "delivered", "")])
    async with harness.db.begin() as worker:
        await worker.execute(update(delivery).where(delivery.c.id == id_).values(tries=2))
        # It neither waits for the worker nor forgets the receipt, and ends.
        async with asyncio.timeout(60), harness.db.begin() as c:
            assert await apply_receipts(c) == Applied(2, 1)
    async with harness.db.begin() as c:
        assert await apply_receipts(c) == Applied(1)
        assert await apply_receipts(c) == Applied()
    async with harness.db.begin() as c:
        assert await c.scalar(select(delivery.c.state).where(delivery.c.id == id_)) == "delivered"


async def test_maintenance_round_applies_all_waiting_receipts(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    ids = [r["id"] for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms"]
    assert len(ids) > 20
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", n, "ok", "delivered", "") for n in ids])
    maintenance = harness.maintenance()
    maintenance.duties["receipts"].size = maintenance.duties["receipts"].most = 7
    assert await maintenance.run_once()
    async with harness.db.begin() as c:
        states = await c.scalars(select(delivery.c.state).where(delivery.c.id.in_(ids)))
        assert set(states) == {"delivered"}


@pytest.mark.parametrize("seed", range(4))
async def test_receipts_in_any_order_and_batch_end_the_same(
    harness: DispatchHarness, alert_xml: bytes, seed: int
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    ids = [r["id"] for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms"]
    dice = random.Random(seed)
    said, ends = [], {}
    for n in ids:
        last, code, ends[n] = dice.choice(
            [
                ("delivered", "", "delivered"),
                ("undelivered", "30003", "failed"),
                ("sending", "", "accepted"),
            ]
        )
        said += [NewReceipt("sms", n, "ok", status, "") for status in ("queued", "sent")]
        said.append(NewReceipt("sms", n, "ok", last, code))
        said += dice.choices(said[-3:], k=2)
    dice.shuffle(said)
    planned = set(dice.sample(ids, len(ids) // 4))
    async with harness.db.begin() as c:
        ours_to_come = {"state": "planned", "provider_ref": "", "accepted_at": None}
        query = update(delivery).where(delivery.c.id.in_(planned)).values(**ours_to_come)
        await c.execute(query)
    for start in range(0, len(said), 40):
        async with harness.db.begin() as c:
            await receipt_intake.add(c, said[start : start + 40])
        if dice.random() < 0.6:
            async with harness.db.begin() as c:
                await apply_receipts(c, limit=dice.choice([3, 17, 500]))
    await harness.maintenance().run_once()
    async with harness.db.begin() as c:
        rows = await c.execute(
            select(delivery.c.id, delivery.c.state).where(delivery.c.id.in_(ids))
        )
        assert {row.id: row.state for row in rows} == ends
