"""An alert that nobody hears says so: an alarm, and true words in its status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import func, select, update

from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, Outcome
from alerting.dispatch.evaluation import policies, silences
from alerting.dispatch.intake.cancel import cancel
from alerting.dispatch.status import AlertStatus, status
from alerting.domain.alert import Alert, Area, Info, MsgType, NamedValue, Polygon, Severity
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import internal
from alerting.store.admin import stored_alarms
from alerting.store.admin.stored_alarms import HELD, REACHED_NOBODY, Alarm
from alerting.store.schema import address, citizen
from alerting.throttle.silence.matcher import Matcher, Op

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEA = Polygon(((1, 1), (1, 2), (2, 2), (2, 1), (1, 1)))


@pytest.fixture(autouse=True)
def noon(harness: DispatchHarness) -> None:
    """Nobody's quiet time."""
    harness.begin_at(NOON)


def saying(harness: DispatchHarness, alert: Alert, **changes: object) -> Alert:
    """The alert as sent now and in force for hours, its first info alone and changed."""
    sent = harness.clock.now()
    info: Info = replace(alert.infos[0], expires=sent + timedelta(hours=8), onset=None)
    return replace(alert, sent=sent, infos=(replace(info, **changes),))  # type: ignore[arg-type]


def somewhere(area: Area) -> Callable[[DispatchHarness, Alert], Awaitable[Alert]]:
    async def prepare(harness: DispatchHarness, flood: Alert) -> Alert:
        return saying(harness, flood, areas=(area,))

    return prepare


async def silenced(harness: DispatchHarness, flood: Alert) -> Alert:
    async with harness.db.begin() as c:
        await silences.add(
            c,
            matchers=[Matcher("event", Op.IS, flood.infos[0].event)],
            area=None,
            starts_at=None,
            ends_at=NOON + timedelta(days=1),
            comment="A test of the sea wall.",
            by="test",
            now=NOON,
        )
    return saying(harness, flood)


async def refused(harness: DispatchHarness, flood: Alert) -> Alert:
    for channel in harness.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, DEAD_ADDRESS)
    return saying(harness, flood)


async def left(harness: DispatchHarness, flood: Alert) -> Alert:
    async with harness.db.begin() as c:
        await c.execute(update(address).values(consent=False))
    return saying(harness, flood)


def nowhere(*codes: str) -> Area:
    return Area("Nowhere", geocodes=tuple(NamedValue("AGS", c) for c in codes))


#: slip → what the status says, and what the alarm adds
SLIPS = {
    "empty land": (somewhere(Area("Sea", polygons=(SEA,))), "Nobody is in its areas."),
    "a geocode nobody has": (
        somewhere(nowhere("09999")),
        "Nobody is in its areas. No citizen has AGS=09999.",
    ),
    "many such": (
        somewhere(nowhere(*"12345678")),
        "Nobody is in its areas. No citizen has AGS=1, AGS=2, AGS=3, AGS=4, AGS=5 and 3 more.",
    ),
    "silenced": (silenced, "Nobody was notified: # silenced."),
    "refused by every provider": (refused, "Nobody was notified: # failed (dead address)."),
    "everybody has left": (left, "Nobody was notified: # opted out."),
}


async def done(harness: DispatchHarness, alert: Alert) -> UUID:
    submitted = await harness.submit(to_xml(alert), now=False)
    for _ in range(8):
        await harness.due_now()
        await harness.worker().sweep()
        await harness.maintenance().run_once()
    return submitted.alert_id


async def found(harness: DispatchHarness, alert_id: UUID) -> tuple[AlertStatus, list[Alarm]]:
    async with harness.db.begin() as c:
        return await status(c, alert_id), await stored_alarms.open_alarms(c)


@pytest.mark.parametrize("slip", SLIPS)
async def test_status_says_when_nobody_was_reached(
    harness: DispatchHarness, flood: Alert, slip: str
) -> None:
    prepare, says = SLIPS[slip]
    alert_id = await done(harness, await prepare(harness, flood))
    now, opened = await found(harness, alert_id)
    (alarm,) = [a for a in opened if a.kind == REACHED_NOBODY]
    assert (alarm.subject, alarm.count) == (str(alert_id), 1)
    count = sum(c.planned for c in now.channels.values())
    notified = f"Alert {flood.identifier} of {flood.sender} reached nobody. {says}"
    assert alarm.sentence == notified.replace("#", f"{count:,}")
    assert alarm.sentence.startswith(
        f"Alert {flood.identifier} of {flood.sender} reached nobody. {now.unheard}"
    )
    assert now.unheard
    # Nobody has to end it twice.
    await cancel(
        harness.db,
        alert_id,
        principal=internal("test"),
        clock=harness.clock,
        notifier=harness.notifier,
    )
    assert REACHED_NOBODY not in {a.kind for a in (await found(harness, alert_id))[1]}


async def test_status_says_when_alert_expired_unsent(
    harness: DispatchHarness, flood: Alert
) -> None:
    submitted = await harness.submit(
        to_xml(saying(harness, flood, expires=NOON + timedelta(minutes=1))), now=False
    )
    harness.clock.advance(120)
    await harness.maintenance().run_once()
    await harness.worker().sweep()
    await harness.maintenance().run_once()
    now, (alarm,) = await found(harness, submitted.alert_id)
    assert (now.state, alarm.kind) == (AlertState.EXPIRED, REACHED_NOBODY)
    assert now.unheard == "Nobody was notified: its time ran out."
    assert harness.sent == []


async def test_status_says_when_approval_came_too_late(
    harness: DispatchHarness, flood: Alert
) -> None:
    async with harness.db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 1\n", by=internal("other"))
    submitted = await harness.submit(
        to_xml(saying(harness, flood, expires=NOON + timedelta(minutes=1))), now=False
    )
    now, (alarm,) = await found(harness, submitted.alert_id)
    assert (now.state, now.unheard, alarm.kind) == (AlertState.HELD, "", HELD)
    harness.clock.advance(120)
    await harness.maintenance().run_once()
    now, (alarm,) = await found(harness, submitted.alert_id)
    assert (now.state, alarm.kind) == (AlertState.EXPIRED, REACHED_NOBODY)
    assert now.unheard == (
        "Nobody was notified: its time ran out while it waited for a second person."
    )


async def test_cancel_of_held_alert_closes_its_alarm(
    harness: DispatchHarness, flood: Alert
) -> None:
    async with harness.db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 1\n", by=internal("other"))
    submitted = await harness.submit(to_xml(saying(harness, flood)), now=False)
    await cancel(
        harness.db,
        submitted.alert_id,
        principal=internal("second"),
        clock=harness.clock,
        notifier=harness.notifier,
    )
    now, opened = await found(harness, submitted.alert_id)
    assert opened == []
    assert now.unheard == "It was cancelled before anybody was notified."


async def test_no_alarm_when_people_know_already(harness: DispatchHarness, flood: Alert) -> None:
    first = saying(harness, flood)
    await done(harness, first)
    harness.clock.advance(60)
    again = replace(
        saying(harness, flood, contact="Ask at the town hall", expires=first.infos[0].expires),
        identifier="again",
        msg_type=MsgType.UPDATE,
        references=(first.triple,),
    )
    for channel in harness.channels.values():
        channel.can_be_silent = False
    now, opened = await found(harness, await done(harness, again))
    assert all(c.accepted == 0 for c in now.channels.values())
    assert (now.state, now.unheard, opened) == (AlertState.COMPLETED, "", [])


async def test_alarm_closes_when_somebody_is_reached_later(
    harness: DispatchHarness, flood: Alert
) -> None:
    await refused(harness, flood)
    alert_id = await done(harness, saying(harness, flood))
    _, (alarm,) = await found(harness, alert_id)
    assert alarm.kind == REACHED_NOBODY
    async with harness.db.begin() as c:
        await c.execute(update(address).values(suspended_reason=None))
        # As the provider's own records are read after a restore.
        await c.exec_driver_sql(
            "update delivery set state = 'accepted', accepted_at = now() where id = "
            "(select min(id) from delivery)"
        )
    await harness.maintenance().run_once()
    assert (await found(harness, alert_id))[1] == []


async def test_alert_with_deferred_deliveries_is_not_completed(
    harness: DispatchHarness, flood: Alert
) -> None:
    harness.begin_at(datetime(2026, 11, 24, 2, tzinfo=UTC))
    async with harness.db.begin() as c:
        await c.execute(update(citizen).values(quiet_from=time(22), quiet_to=time(7)))
    for channel in harness.channels.values():
        channel.can_be_silent = False
    alert = saying(
        harness,
        flood,
        severity=Severity.MODERATE,
        response_types=(),
        expires=NOON + timedelta(days=1),
    )
    alert_id = await done(harness, alert)
    now, opened = await found(harness, alert_id)
    assert opened == []
    waiting = sum(c.open for c in now.channels.values())
    assert waiting > 0
    assert now.deferred["quiet-hours"] > 0
    assert sum(now.deferred.values()) == waiting
    assert (now.state, now.finished_at, now.unheard) == (AlertState.DELIVERING, None, "")


async def test_end_with_no_recipients_raises_no_alarm(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = saying(harness, flood, areas=(Area("Sea", polygons=(SEA,)),))
    await done(harness, first)
    async with harness.db.begin() as c:
        stored = await c.scalar(select(func.count()).select_from(stored_alarms.alarm))
    harness.clock.advance(60)
    end = replace(first, identifier="end", msg_type=MsgType.CANCEL, references=(first.triple,),
                  sent=harness.clock.now())  # fmt: skip
    now, opened = await found(harness, await done(harness, end))
    assert (stored, now.unheard, opened) == (1, "", [])
