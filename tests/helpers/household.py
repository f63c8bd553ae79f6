"""A handful of citizens with known addresses, and what became of an alert for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from uuid import UUID

from dispatch_harness import DispatchHarness
from sqlalchemy import select, update
from test_escalate import record_outcomes

from alerting.audience.synthetic import SyntheticCitizen, store
from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, PROVIDER_DOWN, Outcome, Outgoing
from alerting.domain.alert import Alert, Severity
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.escalations import AT_ONCE
from alerting.store.ledger.receipt_intake import NewReceipt
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


async def live_here(harness: DispatchHarness, alert_xml: bytes, **people: dict[str, str]) -> None:
    """Have nobody live in the area but these: {name: {channel: endpoint}}, in their order."""
    notified = {endpoint for _, endpoint in harness.expected(alert_xml)}
    at = next(c for c in harness.citizens if notified & set(c.endpoints.values()))
    async with harness.db.begin() as c:
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


async def story(harness: DispatchHarness, alert_id: UUID) -> dict[str, dict[str, str]]:
    """{citizen: {channel: state and reason}}."""
    found: dict[str, dict[str, str]] = {}
    for r in await harness.rows(alert_id):
        ways = found.setdefault(r["citizen"], {})
        assert r["channel"] not in ways, "told twice by one channel"
        ways[r["channel"]] = f"{r['state']} {r['reason']}"
    return found


async def work_ids(harness: DispatchHarness) -> list[int]:
    async with harness.db.begin() as c:
        return list(await c.scalars(select(outbox.c.id).order_by(outbox.c.id)))


async def age(harness: DispatchHarness, seconds: float) -> None:
    """Let so much time pass for what is written by now: PostgreSQL's clock cannot be moved."""
    by = timedelta(seconds=seconds)
    async with harness.db.begin() as c:
        await c.execute(
            update(delivery).values(
                planned_at=delivery.c.planned_at - by, accepted_at=delivery.c.accepted_at - by
            )
        )
        asked = outbox.c.check_at == AT_ONCE
        await c.execute(update(outbox).where(~asked).values(check_at=outbox.c.check_at - by))


async def wait_over(harness: DispatchHarness) -> None:
    await age(harness, harness.settings.receipt_severe_s + LATER_S)
    await record_outcomes(harness)


async def report(harness: DispatchHarness, alert_id: UUID, status: str, *, of: str) -> None:
    """The provider's report on one citizen's SMS."""
    ids = [
        r["id"]
        for r in await harness.rows(alert_id)
        if (r["citizen"], r["channel"]) == (of, "sms") and r["state"] == "accepted"
    ]
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", i, "ok", status, "30005") for i in ids])


def moderate(harness: DispatchHarness, flood: Alert, *, hours: float) -> bytes:
    """The flood as something that may wait, sent now."""
    now = harness.clock.now()
    infos = tuple(
        replace(i, severity=Severity.MODERATE, onset=None, expires=now + timedelta(hours=hours))
        for i in flood.infos
    )
    return to_xml(replace(flood, sent=now, infos=infos))


async def quiet(harness: DispatchHarness, name: str, *, from_: int, to: int) -> None:
    """Give a citizen quiet hours of their own."""
    async with harness.db.begin() as c:
        await c.execute(
            update(citizen)
            .where(citizen.c.ref == name)
            .values(quiet_from=time(from_), quiet_to=time(to))
        )
