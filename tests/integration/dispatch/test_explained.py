"""`why` shows the decision as it was made, whatever has changed since."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import select, update

from alerting.cap import to_xml
from alerting.dispatch.evaluation.explain import Explained, explain
from alerting.domain.alert import Alert, Severity
from alerting.store.citizens import directory
from alerting.store.schema import address, delivery


async def notified(harness: DispatchHarness, alert_xml: bytes) -> tuple[object, str]:
    """An alert that went out, and a citizen it was sent to by SMS."""
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    rows = await harness.rows(submitted.alert_id)
    sent = next(r for r in rows if r["channel"] == "sms" and r["state"] == "accepted")
    return submitted.alert_id, sent["citizen"]


async def why(
    harness: DispatchHarness, alert_id: object, ref: str, channel: str = "sms"
) -> Explained:
    async with harness.db.begin() as c:
        found = await explain(c, alert_id, ref, now=harness.clock.now())  # type: ignore[arg-type]
    return next(e for e in found if e.channel == channel)


def decides(found: Explained) -> str:
    (rule,) = [r for r in found.rules if r.decides]
    return rule.rule


@pytest.mark.parametrize("change", ["dead", "left", "cancelled"])
async def test_explain_accepted_delivery(
    harness: DispatchHarness, alert_xml: bytes, change: str
) -> None:
    alert_id, ref = await notified(harness, alert_xml)
    before = await why(harness, alert_id, ref)
    harness.clock.advance(60)
    async with harness.db.begin() as c:
        ids = list(
            await c.scalars(select(delivery.c.address_id).where(delivery.c.channel == "sms"))
        )
        if change == "dead":
            await directory.suspend(c, {"dead-address": ids})
        elif change == "left":
            await directory.suspend(c, {"opted-out": ids})
    if change == "cancelled":
        await harness.submit(await harness.cancel_of(alert_id))  # type: ignore[arg-type]
        await harness.worker().sweep()
    after = await why(harness, alert_id, ref)
    assert decides(after) == decides(before)
    assert "goes out" in next(r.answer for r in after.rules if r.decides)
    for rule in after.rules[: [r.decides for r in after.rules].index(True)]:
        assert rule.answer.startswith(("No", "Yes. ", "Yes.")), rule
        assert "does not go out" not in rule.answer


async def test_explain_withheld_delivery_uses_facts_of_its_time(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    """The address was not verified then, and is now."""
    async with harness.db.begin() as c:
        await c.execute(update(address).values(verified=False))
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    row = next(r for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms")
    assert (row["state"], row["reason"]) == ("suppressed", "unverified")
    async with harness.db.begin() as c:
        await c.execute(update(address).values(verified=True))
    found = await why(harness, submitted.alert_id, row["citizen"])
    assert decides(found) == "opted_out"
    answer = next(r.answer for r in found.rules if r.decides)
    assert answer == "The address has never been verified. So it does not go out."


@pytest.mark.parametrize("channel", ["email", "push"])
async def test_explain_end_by_night_is_silent_where_possible(
    harness: DispatchHarness, flood: Alert, channel: str
) -> None:
    harness.begin_at(datetime(2026, 11, 24, 12, tzinfo=UTC))
    infos = tuple(
        replace(
            i,
            severity=Severity.MODERATE,
            onset=None,
            expires=harness.clock.now() + timedelta(days=2),
        )
        for i in flood.infos
    )
    first = await harness.submit(to_xml(replace(flood, sent=harness.clock.now(), infos=infos)))
    await harness.worker().sweep()
    harness.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    end = await harness.submit(await harness.cancel_of(first.alert_id))
    await harness.worker().sweep()
    (sent, *_) = [
        r
        for r in await harness.rows(end.alert_id)
        if (r["channel"], r["state"]) == (channel, "accepted")
    ]
    found = await why(harness, end.alert_id, sent["citizen"], channel)
    assert decides(found) == "quiet"
