"""What is late wakes nobody: digests and second channels wait for the morning, grave ones not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from town import Town

from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, PROVIDER_DOWN, Outcome, Outgoing
from alerting.domain.alert import Alert, MsgType, Severity, Urgency

EVENING = datetime(2026, 11, 24, 21, tzinfo=UTC)
MORNING = datetime(2026, 11, 25, 7, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def evening(town: Town) -> None:
    town.begin_at(EVENING)


def at(alert: Alert, town: Town, *, hours: float = 30, **changes: object) -> Alert:
    sent = town.clock.now()
    infos = tuple(
        replace(i, expires=sent + timedelta(hours=hours), onset=None, **changes)  # type: ignore[arg-type]
        for i in alert.infos
    )
    return replace(alert, sent=sent, infos=infos)


async def work(town: Town) -> list[Outgoing]:
    """Let everything happen that is due; what was sent of it."""
    before = {name: len(c.sent) for name, c in town.channels.items()}
    for _ in range(2):
        await town.due_now()
        await town.worker().sweep()
        await town.house().keep()
    return [m for name, c in town.channels.items() for m in c.sent[before[name] :]]


def away(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, PROVIDER_DOWN)


def taken(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, provider_ref="ok")


def refused(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, DEAD_ADDRESS)


def all_answer(town: Town, answer: Callable[[Outgoing], Outcome]) -> None:
    for channel in town.channels.values():
        channel.answer = answer


async def no_digest_until_night(town: Town) -> None:
    """The slot comes, but no provider is there before ten in the evening."""
    all_answer(town, away)
    town.clock.at = EVENING.replace(hour=8, minute=1)
    assert await work(town)
    all_answer(town, taken)
    town.clock.at = EVENING.replace(hour=22, minute=1)


async def test_a_late_digest_waits_for_the_morning(town: Town, flood: Alert) -> None:
    town.clock.at = EVENING.replace(hour=5)
    lesser = to_xml(at(flood, town, severity=Severity.MODERATE, urgency=Urgency.EXPECTED))
    await town.submit(lesser, now=False)
    assert await work(town) == []
    await no_digest_until_night(town)
    assert await work(town) == []
    town.clock.at = MORNING
    told = await work(town)
    assert sorted(m.endpoint for m in told) == sorted(e for _, e in town.expected(lesser))
    assert not any(m.silent for m in told)


async def test_a_digest_whose_lead_ran_out_overnight_still_tells_the_rest(
    town: Town, flood: Alert
) -> None:
    town.clock.at = EVENING.replace(hour=5)
    for name, event, hours in (("short", "Flood", 18), ("long", "Earthquake", 40)):
        alert = at(
            flood, town, hours=hours, severity=Severity.MODERATE, event=event, headline=event
        )
        await town.submit(to_xml(replace(alert, identifier=name)), now=False)
        assert await work(town) == []
    await no_digest_until_night(town)
    # By push, which can, it goes before it runs out.
    quietly = await work(town)
    assert quietly
    assert all(m.silent for m in quietly)
    town.clock.at = MORNING + timedelta(hours=2)
    told = await work(town)
    everybody = sorted(e for _, e in town.expected(to_xml(alert)))
    assert sorted(m.endpoint for m in [*quietly, *told]) == everybody
    assert told
    assert all("Earthquake" in m.rendering.text + m.rendering.subject for m in told)


async def second_channels(town: Town, alert: Alert) -> list[Outgoing]:
    """An alert in the evening of which SMS brings nothing, followed up at night."""
    town.channels["sms"].answer = refused
    await town.submit(to_xml(alert), now=False)
    await town.due_now()
    await town.worker().sweep()
    assert town.channels["sms"].sent
    town.clock.at = EVENING.replace(hour=22, minute=1)
    return await work(town)


async def test_a_second_channel_for_a_lesser_alert_waits_for_the_morning(
    town: Town, flood: Alert
) -> None:
    assert await second_channels(town, at(flood, town, severity=Severity.MODERATE)) == []
    town.clock.at = MORNING
    told = await work(town)
    assert told
    assert not any(m.silent for m in told)


@pytest.mark.parametrize("can_be_silent", [True, False])
async def test_what_would_run_out_by_morning_goes_silently_where_it_can(
    town: Town, flood: Alert, can_be_silent: bool
) -> None:
    town.channels["email"].can_be_silent = can_be_silent
    told = await second_channels(town, at(flood, town, hours=4, severity=Severity.MODERATE))
    assert bool(told) == can_be_silent
    assert all(m.silent for m in told)
    town.clock.at = MORNING
    assert await work(town) == []


async def test_a_second_channel_for_a_grave_alert_wakes_people(town: Town, flood: Alert) -> None:
    told = await second_channels(town, at(flood, town, severity=Severity.SEVERE))
    assert told
    assert not any(m.silent for m in told)


async def test_a_second_channel_of_a_cancel_waits_for_nothing(town: Town, flood: Alert) -> None:
    lesser = at(flood, town, severity=Severity.MODERATE)
    await town.submit(to_xml(lesser), now=False)
    assert await work(town)
    town.clock.advance(60)
    cancel = replace(
        at(flood, town, severity=Severity.MODERATE),
        identifier="over",
        msg_type=MsgType.CANCEL,
        references=(lesser.triple,),
    )
    assert await second_channels(town, cancel)
