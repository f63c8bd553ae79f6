"""What is late wakes nobody: digests and second channels wait for the morning, grave ones not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dispatch_harness import DispatchHarness

from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, PROVIDER_DOWN, Outcome, Outgoing
from alerting.domain.alert import Alert, MsgType, Severity, Urgency

EVENING = datetime(2026, 11, 24, 21, tzinfo=UTC)
MORNING = datetime(2026, 11, 25, 7, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def evening(harness: DispatchHarness) -> None:
    harness.begin_at(EVENING)


def at(alert: Alert, harness: DispatchHarness, *, hours: float = 30, **changes: object) -> Alert:
    sent = harness.clock.now()
    infos = tuple(
        replace(i, expires=sent + timedelta(hours=hours), onset=None, **changes)  # type: ignore[arg-type]
        for i in alert.infos
    )
    return replace(alert, sent=sent, infos=infos)


async def work(harness: DispatchHarness) -> list[Outgoing]:
    """Let everything happen that is due; what was sent of it."""
    before = {name: len(c.sent) for name, c in harness.channels.items()}
    for _ in range(2):
        await harness.due_now()
        await harness.worker().sweep()
        await harness.maintenance().run_once()
    return [m for name, c in harness.channels.items() for m in c.sent[before[name] :]]


def away(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, PROVIDER_DOWN)


def taken(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, provider_ref="ok")


def refused(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, DEAD_ADDRESS)


def all_answer(harness: DispatchHarness, answer: Callable[[Outgoing], Outcome]) -> None:
    for channel in harness.channels.values():
        channel.answer = answer


async def no_digest_until_night(harness: DispatchHarness) -> None:
    """The slot comes, but no provider is there before ten in the evening."""
    all_answer(harness, away)
    harness.clock.at = EVENING.replace(hour=8, minute=1)
    assert await work(harness)
    all_answer(harness, taken)
    harness.clock.at = EVENING.replace(hour=22, minute=1)


async def test_digest_due_by_night_waits_for_morning(
    harness: DispatchHarness, flood: Alert
) -> None:
    harness.clock.at = EVENING.replace(hour=5)
    lesser = to_xml(at(flood, harness, severity=Severity.MODERATE, urgency=Urgency.EXPECTED))
    await harness.submit(lesser, now=False)
    assert await work(harness) == []
    await no_digest_until_night(harness)
    assert await work(harness) == []
    harness.clock.at = MORNING
    notified = await work(harness)
    assert sorted(m.endpoint for m in notified) == sorted(e for _, e in harness.expected(lesser))
    assert not any(m.silent for m in notified)


async def test_digest_past_its_lead_time_is_still_sent(
    harness: DispatchHarness, flood: Alert
) -> None:
    harness.clock.at = EVENING.replace(hour=5)
    for name, event, hours in (("short", "Flood", 18), ("long", "Earthquake", 40)):
        alert = at(
            flood, harness, hours=hours, severity=Severity.MODERATE, event=event, headline=event
        )
        await harness.submit(to_xml(replace(alert, identifier=name)), now=False)
        assert await work(harness) == []
    await no_digest_until_night(harness)
    # By push, which can, it goes before it runs out.
    quietly = await work(harness)
    assert quietly
    assert all(m.silent for m in quietly)
    harness.clock.at = MORNING + timedelta(hours=2)
    notified = await work(harness)
    everybody = sorted(e for _, e in harness.expected(to_xml(alert)))
    assert sorted(m.endpoint for m in [*quietly, *notified]) == everybody
    assert notified
    assert all("Earthquake" in m.rendering.text + m.rendering.subject for m in notified)


async def second_channels(harness: DispatchHarness, alert: Alert) -> list[Outgoing]:
    """An alert in the evening of which SMS brings nothing, followed up at night."""
    harness.channels["sms"].answer = refused
    await harness.submit(to_xml(alert), now=False)
    await harness.due_now()
    await harness.worker().sweep()
    assert harness.channels["sms"].sent
    harness.clock.at = EVENING.replace(hour=22, minute=1)
    return await work(harness)


async def test_escalation_of_moderate_alert_waits_for_morning(
    harness: DispatchHarness, flood: Alert
) -> None:
    assert await second_channels(harness, at(flood, harness, severity=Severity.MODERATE)) == []
    harness.clock.at = MORNING
    notified = await work(harness)
    assert notified
    assert not any(m.silent for m in notified)


@pytest.mark.parametrize("can_be_silent", [True, False])
async def test_escalation_expiring_by_morning_goes_silently(
    harness: DispatchHarness, flood: Alert, can_be_silent: bool
) -> None:
    harness.channels["email"].can_be_silent = can_be_silent
    notified = await second_channels(
        harness, at(flood, harness, hours=4, severity=Severity.MODERATE)
    )
    assert bool(notified) == can_be_silent
    assert all(m.silent for m in notified)
    harness.clock.at = MORNING
    assert await work(harness) == []


async def test_escalation_of_severe_alert_ignores_quiet_hours(
    harness: DispatchHarness, flood: Alert
) -> None:
    notified = await second_channels(harness, at(flood, harness, severity=Severity.SEVERE))
    assert notified
    assert not any(m.silent for m in notified)


async def test_escalation_of_cancel_waits_for_nothing(
    harness: DispatchHarness, flood: Alert
) -> None:
    lesser = at(flood, harness, severity=Severity.MODERATE)
    await harness.submit(to_xml(lesser), now=False)
    assert await work(harness)
    harness.clock.advance(60)
    cancel = replace(
        at(flood, harness, severity=Severity.MODERATE),
        identifier="over",
        msg_type=MsgType.CANCEL,
        references=(lesser.triple,),
    )
    assert await second_channels(harness, cancel)
