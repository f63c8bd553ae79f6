"""The way of several alerts of one event: who is interrupted, who is spared, and what waits."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness

from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, Outcome, Outgoing
from alerting.dispatch.intake.approve import OwnAlert, approve
from alerting.dispatch.status import status
from alerting.domain.alert import (
    Alert,
    Area,
    Info,
    MsgType,
    Polygon,
    Reference,
    ResponseType,
    Severity,
    Urgency,
)
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import internal
from alerting.domain.segments import measure
from alerting.errors import Conflict, Unavailable
from alerting.store.admin import policy_versions as stored_policies
from alerting.store.alerts import stored_alerts, stored_events
from alerting.throttle.budget import Answer, Ask, Limits

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(harness: DispatchHarness) -> None:
    """Nobody's quiet time."""
    harness.begin_at(NOON)


def at(alert: Alert, harness: DispatchHarness, *, minutes: float = 0, **changes: object) -> Alert:
    """The alert as sent so long after the clock's time, every info changed alike."""
    sent = harness.clock.now() + timedelta(minutes=minutes)
    infos = tuple(
        replace(i, expires=sent + timedelta(hours=8), onset=None, **changes)  # type: ignore[arg-type]
        for i in alert.infos
    )
    return replace(alert, sent=sent, infos=infos)


def update(old: Alert, harness: DispatchHarness, **changes: object) -> Alert:
    """An update of it ten minutes later; the clock moves there."""
    harness.clock.advance(600)
    new = at(old, harness, **changes)
    reference = Reference(old.sender, old.identifier, old.sent)
    return replace(
        new,
        identifier=f"{old.identifier}+",
        msg_type=MsgType.UPDATE,
        references=(reference,),
    )


async def play(harness: DispatchHarness, alert: Alert) -> list[str]:
    """Submit and deliver it; the endpoints that got something, push ones marked when silent."""
    before = len(harness.sent)
    by_channel = {name: len(c.sent) for name, c in harness.channels.items()}
    await harness.submit(to_xml(alert), now=False)
    await harness.due_now()
    await harness.worker().sweep()
    new = [m for name, c in harness.channels.items() for m in c.sent[by_channel[name] :]]
    assert len(new) == len(harness.sent) - before
    return sorted(f"{'silent ' if m.silent else ''}{m.endpoint}" for m in new)


async def approved(harness: DispatchHarness, alert_id: UUID, by: str) -> bool:
    return await approve(
        harness.db, harness.notifier, alert_id, principal=internal(by), clock=harness.clock
    )


async def test_common_names_never_withhold_an_extreme_alert(
    harness: DispatchHarness, flood: Alert
) -> None:
    far = Area("Far", polygons=(Polygon(((-10, 100), (-10, 101), (-9, 101), (-10, 100))),))
    for n in range(25):
        away = at(flood, harness, event="Power cut", headline=f"Power cut {n}")
        text = f"Line {n} is down; listen to Radio Weir and to Channel Nine."
        infos = (replace(away.infos[0], description=text, areas=(far,)),)
        other = replace(away, identifier=f"power-{n}", sender="power@example.org", infos=infos)
        await harness.submit(to_xml(other), now=False)
    found = []
    for sender, what in (("fire@example.org", "pier"), ("police@example.org", "mill")):
        text = f"The {what} burns. Listen to Radio Weir and to Channel Nine."
        one = at(flood, harness, event="Fire", headline="Fire", severity=Severity.EXTREME)
        one = replace(one, infos=(replace(one.infos[0], description=text),))
        data = to_xml(replace(one, identifier=what, sender=sender))
        found.append((await harness.submit(data, now=False)).alert_id)
    async with harness.db.begin() as connection:
        pier, mill = [await stored_alerts.get(connection, alert_id) for alert_id in found]
        asked = [q.alert_id for q in await stored_events.open_questions(connection, limit=9)]
    assert pier
    assert mill
    assert pier.event_id != mill.event_id
    assert mill.id in asked


async def test_unread_change_goes_silently_where_possible(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = at(flood, harness)
    notified = await play(harness, first)
    same = {"contact": "Ask at the town hall"}
    again = await play(harness, update(first, harness, **same))
    assert again == [f"silent {e}" for e in notified if not e.startswith("+")]
    assert again


async def test_corrected_headline_interrupts_everybody(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = at(flood, harness, headline="Go to the valley floor now")
    notified = await play(harness, first)
    assert (
        await play(harness, update(first, harness, headline="Leave the valley floor now"))
        == notified
    )


async def test_deferred_alert_counts_as_settled(harness: DispatchHarness, flood: Alert) -> None:
    """`submit --wait` waited for hours after a prepared alert had been submitted twice."""
    # What is due is compared with PostgreSQL's clock, which is not the harness's.
    harness.begin_at(datetime.now(UTC).replace(microsecond=0))
    first = at(flood, harness)
    await play(harness, first)
    again = update(first, harness)
    await play(harness, again)
    async with harness.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, again.identifier)
        found = await status(connection, alert_id)
    assert found.state == "delivering"
    assert found.waits_until == first.sent + timedelta(hours=7, minutes=45)
    assert found.settled


async def test_extended_end_goes_by_sms_before_the_old_end(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = at(flood, harness)
    notified = await play(harness, first)
    harness.clock.advance(6 * 3600)
    assert not [e for e in await play(harness, update(first, harness)) if e.startswith("+")]
    # A quarter of an hour before the eight hours are over.
    harness.clock.at = first.sent + timedelta(hours=7, minutes=45)
    before = len(harness.channels["sms"].sent)
    await harness.due_now()
    await harness.worker().sweep()
    by_sms = sorted(e for e in notified if e.startswith("+"))
    assert sorted(m.endpoint for m in harness.channels["sms"].sent[before:]) == by_sms
    assert by_sms


async def test_identical_update_reaches_nobody(harness: DispatchHarness, flood: Alert) -> None:
    first = at(flood, harness)
    await play(harness, first)
    same = replace(
        update(first, harness),
        infos=first.infos,
    )
    assert await play(harness, same) == []


async def test_escalation_interrupts_everybody_again(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = at(flood, harness)
    notified = await play(harness, first)
    more_severe = update(first, harness, severity=Severity.EXTREME)
    # Extreme goes out on every channel.
    assert set(notified) <= set(await play(harness, more_severe))


async def test_end_goes_to_exactly_those_notified(harness: DispatchHarness, flood: Alert) -> None:
    first = at(flood, harness)
    west = replace(first, infos=tuple(_half(i) for i in first.infos))
    notified = await play(harness, west)
    end = update(
        west,
        harness,
        severity=Severity.MINOR,
        urgency=Urgency.PAST,
        response_types=(ResponseType.ALL_CLEAR,),
    )
    end = replace(
        end,
        infos=tuple(replace(i, areas=f.areas) for i, f in zip(end.infos, first.infos, strict=True)),
    )
    assert await play(harness, end) == notified
    assert await play(harness, update(end, harness)) == []


async def test_partial_update_leaves_others_their_first_alert(
    harness: DispatchHarness, flood: Alert
) -> None:
    """Invariant 1: whoever an update leaves out is still told of what they had not heard."""
    first = at(flood, harness)
    await harness.submit(to_xml(first), now=False)
    part = update(first, harness, headline="For the west")
    part = replace(part, infos=tuple(_half(i) for i in part.infos))
    await harness.submit(to_xml(part), now=False)
    await harness.due_now()
    await harness.worker().sweep()
    wanted = sorted(e for _, e in harness.expected(to_xml(first)))
    assert sorted({m.endpoint for m in harness.sent if not m.silent}) == wanted


def _half(info: Info) -> Info:
    west = Polygon(((54.46, 2.40), (54.60, 2.50), (54.56, 2.38), (54.46, 2.40)))
    return replace(info, areas=tuple(replace(a, polygons=(west,)) for a in info.areas))


async def test_quiet_hours_end_in_one_digest(harness: DispatchHarness, flood: Alert) -> None:
    harness.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    first = at(flood, harness, severity=Severity.MODERATE, urgency=Urgency.EXPECTED)
    first = replace(
        first,
        infos=tuple(replace(i, expires=first.sent + timedelta(hours=14)) for i in first.infos),
    )
    assert await play(harness, first) == []
    other = replace(
        first,
        identifier="other",
        infos=tuple(
            replace(i, event="Wildfire", headline="Wildfire", categories=i.categories)
            for i in first.infos
        ),
    )
    harness.clock.advance(60)
    assert await play(harness, replace(other, sent=harness.clock.now())) == []
    harness.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    assert await harness.maintenance().run_once()
    await harness.due_now()
    await harness.worker().sweep()
    wanted = sorted(e for _, e in harness.expected(to_xml(first)))
    assert sorted(m.endpoint for m in harness.sent) == wanted
    for m in harness.sent:
        assert "Wildfire" in m.rendering.text + m.rendering.subject
    await harness.maintenance().run_once()
    async with harness.db.begin() as connection:
        ids = [
            await stored_alerts.resolve(connection, name) for name in ("other", first.identifier)
        ]
    reasons = {(s, r) for i in ids for _, s, r in await harness.ledger(i)}
    assert reasons == {("suppressed", "digested"), ("accepted", "digested")}


async def test_failed_digest_goes_by_next_channel(harness: DispatchHarness, flood: Alert) -> None:
    harness.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    first = at(flood, harness, severity=Severity.MODERATE, urgency=Urgency.EXPECTED)
    ends = first.sent + timedelta(hours=14)
    first = replace(first, infos=tuple(replace(i, expires=ends) for i in first.infos))
    assert await play(harness, first) == []
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, DEAD_ADDRESS)
    harness.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    for _ in range(4):
        await harness.maintenance().run_once()
        await harness.due_now()
        await harness.worker().sweep()
    async with harness.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, first.identifier)
    ledger = await harness.ledger(alert_id)
    assert ("failed", "dead-address") in {(s, r) for _, s, r in ledger}
    assert ("accepted", "unreached") in {(s, r) for _, s, r in ledger}


async def test_second_moderate_alert_waits_for_budget(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = at(flood, harness, severity=Severity.MODERATE)
    notified = await play(harness, first)
    other = replace(
        at(flood, harness, severity=Severity.MODERATE, event="Wildfire", headline="Wildfire"),
        identifier="other",
    )
    assert await play(harness, other) == []
    harness.clock.advance(601)
    await harness.due_now()
    await harness.worker().sweep()
    assert sorted(m.endpoint for m in harness.sent) == sorted([*notified, *notified])


class GoneBudget:
    """A Redis that is not there."""

    async def ask(
        self, occasion: str, asks: list[Ask], limits: Limits, *, timeout_s: float | None = None
    ) -> list[Answer]:
        raise Unavailable("The budgets do not answer.")


@pytest.mark.parametrize(
    ("severity", "now", "later"),
    [
        (Severity.EXTREME, True, True),
        (Severity.SEVERE, True, True),
        (Severity.MODERATE, True, True),
        (Severity.MINOR, False, True),
    ],
)
async def test_without_budgets_severe_goes_and_minor_waits(
    harness: DispatchHarness, flood: Alert, severity: Severity, now: bool, later: bool
) -> None:
    harness.budget = GoneBudget()
    # How long it waits is counted by the database's clock, which is not the harness's.
    harness.clock.at = datetime.now(UTC)
    await _policy(harness, '[quiet]\nfrom = "03:00"\nto = "03:00"\n')
    first = at(flood, harness, severity=severity)
    assert bool(await play(harness, first)) is now
    harness.clock.advance(605)
    await harness.due_now()
    await harness.worker().sweep()
    assert bool(harness.sent) is later


async def test_storm_is_held_for_approval(harness: DispatchHarness, flood: Alert) -> None:
    await _policy(harness, "[storm]\naudience_max = 10\n")
    first = at(flood, harness)
    assert await play(harness, first) == []
    async with harness.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, first.identifier)
        stored = await stored_alerts.get(connection, alert_id)
    assert stored is not None
    assert stored.state is AlertState.HELD
    assert "second" not in stored.state_reason
    assert "more than the 10" in stored.state_reason
    with pytest.raises(OwnAlert, match="their own"):
        await approved(harness, alert_id, "test")
    assert await approved(harness, alert_id, "other")
    assert not await approved(harness, alert_id, "other")
    await harness.due_now()
    await harness.worker().sweep()
    assert sorted(m.endpoint for m in harness.sent) == sorted(
        e for _, e in harness.expected(to_xml(first))
    )
    with pytest.raises(Conflict):
        await approved(harness, alert_id, "third")


async def test_extreme_alert_is_never_held(harness: DispatchHarness, flood: Alert) -> None:
    await _policy(harness, "[storm]\naudience_max = 10\n")
    assert await play(harness, at(flood, harness, severity=Severity.EXTREME))


async def test_shadow_policy_is_counted_but_not_applied(
    harness: DispatchHarness, flood: Alert
) -> None:
    await _policy(harness, "[budget.moderate]\nper_day = 1\n", role="shadow")
    for n in range(2):
        alert = at(flood, harness, severity=Severity.MODERATE, event=f"Event {n}", headline=f"{n}")
        assert await play(harness, replace(alert, identifier=f"a{n}"))
        harness.clock.advance(3600)
    async with harness.db.begin() as connection:
        shadow = await stored_policies.current(connection, "shadow")
        assert shadow is not None
        rows = await stored_policies.shadow_report(connection, shadow.version)
    assert {(r.live_verdict, r.shadow_verdict) for r in rows} == {
        ("send", "send"),
        ("send", "digest"),
    }


async def _policy(harness: DispatchHarness, toml: str, role: stored_policies.Role = "live") -> None:
    async with harness.db.begin() as connection:
        await stored_policies.put(
            connection, toml, role=role, name="test", by=internal("setup"), note=""
        )


async def test_rate_limited_channel_keeps_its_rate(harness: DispatchHarness, flood: Alert) -> None:
    await _policy(harness, "[pace.sms]\nper_second = 400\n")
    sent_at: list[float] = []

    def answer(message: Outgoing) -> Outcome:
        sent_at.append(time.monotonic())
        return Outcome(message.delivery_id, provider_ref="ok")

    harness.channels["sms"].answer = answer
    harness.settings = harness.settings.model_copy(update={"window": 64})
    began = time.monotonic()
    notified = await play(harness, at(flood, harness))
    texts = [e for e in notified if e.startswith("+")]
    assert len(sent_at) == len(texts)
    segments = sum(measure(m.rendering.text).count for m in harness.channels["sms"].sent)
    # The clock is real here, so only what holds on the slowest machine is asked.
    assert sent_at[-1] - began >= (segments - 64) / 400 * 0.9


async def test_rate_limited_message_is_not_lost(harness: DispatchHarness, flood: Alert) -> None:
    await _policy(harness, "[pace.sms]\nper_second = 1\n")
    harness.settings = harness.settings.model_copy(update={"lease_s": 0.03})
    first = at(flood, harness)
    await play(harness, first)
    await _policy(harness, "[pace.sms]\nper_second = 0\n")
    harness.settings = harness.settings.model_copy(update={"lease_s": 30.0})
    for _ in range(3):
        harness.clock.advance(120)
        await harness.due_now()
        await harness.worker().sweep()
    assert sorted(m.endpoint for m in harness.sent) == sorted(
        e for _, e in harness.expected(to_xml(first))
    )
