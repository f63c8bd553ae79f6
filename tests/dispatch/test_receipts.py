from __future__ import annotations

from itertools import permutations

import pytest
from sqlalchemy import select, update
from town import Town

from alerting.dispatch.receipts import apply_receipts
from alerting.store import receipts
from alerting.store.receipts import NewReceipt
from alerting.store.schema import address, delivery


async def a_delivery(town: Town, alert_xml: bytes) -> tuple[int, str]:
    """One accepted SMS: (its id, the provider's reference)."""
    submitted = await town.submit(alert_xml)
    await town.worker().sweep()
    rows = await town.rows(submitted.alert_id)
    return next(r["id"] for r in rows if r["channel"] == "sms"), "ok"


async def report(town: Town, id_: int, ref: str, *statuses: str, code: str = "") -> str:
    async with town.db.begin() as c:
        await receipts.add(c, [NewReceipt("sms", id_, ref, s, code) for s in statuses])
        await apply_receipts(c)
        state = await c.scalar(select(delivery.c.state).where(delivery.c.id == id_))
    return str(state)


async def test_a_report_moves_the_delivery_on(town: Town, alert_xml: bytes) -> None:
    id_, ref = await a_delivery(town, alert_xml)
    assert await report(town, id_, ref, "sent") == "accepted"
    assert await report(town, id_, ref, "delivered") == "delivered"
    assert await report(town, id_, ref, "delivered", "sent", "queued") == "delivered"


async def test_any_order_ends_the_same(town: Town, alert_xml: bytes) -> None:
    id_, ref = await a_delivery(town, alert_xml)
    for order in permutations(["queued", "sent", "delivered"]):
        async with town.db.begin() as c:
            await c.execute(update(delivery).where(delivery.c.id == id_).values(state="accepted"))
            await c.exec_driver_sql("truncate receipt")
        assert await report(town, id_, ref, *order) == "delivered"


async def test_a_final_failure_says_why_and_suspends_a_dead_address(
    town: Town, alert_xml: bytes
) -> None:
    id_, ref = await a_delivery(town, alert_xml)
    assert await report(town, id_, ref, "undelivered", code="30005") == "failed"
    async with town.db.begin() as c:
        row = (
            await c.execute(
                select(delivery.c.reason, delivery.c.code, address.c.suspended_reason)
                .join(address, address.c.id == delivery.c.address_id)
                .where(delivery.c.id == id_)
            )
        ).one()
    assert tuple(row) == ("dead-address", "30005", "dead-address")
    assert await report(town, id_, ref, "sent") == "failed"


async def test_a_report_that_overtakes_our_own_note_counts(town: Town, alert_xml: bytes) -> None:
    id_, ref = await a_delivery(town, alert_xml)
    async with town.db.begin() as c:
        planned = {"state": "planned", "provider_ref": "", "accepted_at": None}
        await c.execute(update(delivery).where(delivery.c.id == id_).values(**planned))
    assert await report(town, id_, ref, "delivered") == "delivered"


async def test_a_report_about_an_earlier_try_does_not_move_the_later(
    town: Town, alert_xml: bytes
) -> None:
    id_, _ = await a_delivery(town, alert_xml)
    assert await report(town, id_, "SM-of-an-earlier-try", "undelivered") == "accepted"


@pytest.mark.parametrize("status", ["", "no-such-status"])
async def test_what_nobody_understands_changes_nothing(
    town: Town, alert_xml: bytes, status: str
) -> None:
    id_, ref = await a_delivery(town, alert_xml)
    assert await report(town, id_, ref, status) == "accepted"
    assert await report(town, 999_999_999, ref, "delivered") == "None"
