"""Slips of a coordinator at night: what the answer to a submission says of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from dispatch_harness import DispatchHarness

from alerting.cap import to_xml
from alerting.dispatch.evaluation import policies, silences
from alerting.dispatch.intake.cancel import cancel
from alerting.dispatch.intake.submit import Submitted
from alerting.dispatch.status import status
from alerting.domain.alert import (
    Alert,
    Info,
    MsgType,
    NamedValue,
    Severity,
    Status,
)
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import internal
from alerting.errors import BadInput, NotFound
from alerting.store.admin import stored_alarms
from alerting.store.alerts import stored_alerts
from alerting.throttle.silence.matcher import Matcher, Op

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(harness: DispatchHarness) -> None:
    harness.begin_at(NOON)


def saying(harness: DispatchHarness, alert: Alert, **changes: object) -> Alert:
    """The alert as sent now and in force for hours, every info changed alike."""
    sent = harness.clock.now()

    def change(info: Info) -> Info:
        info = replace(info, expires=sent + timedelta(hours=8), onset=None)
        return replace(info, **changes)  # type: ignore[arg-type]

    return replace(alert, sent=sent, infos=tuple(map(change, alert.infos)))


async def said(harness: DispatchHarness, alert: Alert) -> Submitted:
    return await harness.submit(to_xml(alert), now=False)


async def silence(harness: DispatchHarness, event: str) -> None:
    async with harness.db.begin() as c:
        await silences.add(
            c,
            matchers=[Matcher("event", Op.IS, event)],
            area=None,
            starts_at=None,
            ends_at=NOON + timedelta(days=1),
            comment="The dam is being tested.",
            by="person:duty",
            now=NOON,
        )


async def end(harness: DispatchHarness, submitted: Submitted) -> None:
    await cancel(
        harness.db,
        submitted.alert_id,
        principal=internal("test"),
        clock=harness.clock,
        notifier=harness.notifier,
    )


async def covered(harness: DispatchHarness, flood: Alert) -> Submitted:
    await silence(harness, flood.infos[0].event)
    return await said(
        harness, replace(saying(harness, flood), infos=saying(harness, flood).infos[:1])
    )


async def half_covered(harness: DispatchHarness, flood: Alert) -> Submitted:
    await silence(harness, flood.infos[0].event)
    return await said(harness, saying(harness, flood))


async def never_silenced(harness: DispatchHarness, flood: Alert) -> Submitted:
    await silence(harness, flood.infos[0].event)
    return await said(harness, saying(harness, flood, severity=Severity.EXTREME))


async def again_after_its_cancel(harness: DispatchHarness, flood: Alert) -> Submitted:
    alert = saying(harness, flood)
    await end(harness, await said(harness, alert))
    return await said(harness, alert)


async def again_while_held(harness: DispatchHarness, flood: Alert) -> Submitted:
    async with harness.db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 1\n", by=internal("other"))
    alert = saying(harness, flood)
    await said(harness, alert)
    return await said(harness, alert)


async def effective_later(harness: DispatchHarness, flood: Alert) -> Submitted:
    return await said(
        harness, saying(harness, flood, effective=harness.clock.now() + timedelta(hours=3))
    )


async def effective_at_once(harness: DispatchHarness, flood: Alert) -> Submitted:
    return await said(harness, saying(harness, flood, effective=harness.clock.now()))


#: slip → whether it is new, its state and what a note says; "" for no note at all
ANSWERS: dict[
    str, tuple[Callable[[DispatchHarness, Alert], Awaitable[Submitted]], bool, str, str]
] = {
    "covered by a silence": (
        covered,
        True,
        "accepted",
        "A silence of person:duty until 2026-11-25 12:00 UTC keeps it from everybody there: The "
        "dam is being tested. To end it: alerting silence end ",
    ),
    "one language covered": (half_covered, True, "accepted", "keeps a part of it from everybody"),
    "Extreme is never silenced": (never_silenced, True, "accepted", ""),
    "submitted again after it was cancelled": (
        again_after_its_cancel,
        False,
        "cancelled",
        "It was accepted before and has been cancelled (by ",
    ),
    "submitted again while it waits": (
        again_while_held,
        False,
        "held",
        "It waits for a second person (alerting approve ",
    ),
    "effective in three hours": (
        effective_later,
        True,
        "accepted",
        "It takes effect only at 2026-11-24T15:00:00+00:00, and is sent at once.",
    ),
    "effective now": (effective_at_once, True, "accepted", ""),
}


@pytest.mark.parametrize("slip", ANSWERS)
async def test_answer_says_what_will_happen(
    harness: DispatchHarness, flood: Alert, slip: str
) -> None:
    make, created, state, note = ANSWERS[slip]
    answer = await make(harness, flood)
    assert (answer.created, answer.state) == (created, state)
    if note:
        assert any(note in n for n in answer.notes), answer.notes
    else:
        assert answer.notes == ()


#: What an Actual alert says → where that is found; "" where it is no test.
TESTS: list[tuple[dict[str, object], str]] = [
    ({"event_codes": (NamedValue("SAME", "RWT"),)}, "info[1]/eventCode SAME=RWT"),
    ({"event_codes": (NamedValue("SAME", "rmt"),)}, "info[1]/eventCode SAME=rmt"),
    ({"event_codes": (NamedValue("EAS", "DMO"),)}, "info[1]/eventCode EAS=DMO"),
    (
        {"parameters": (NamedValue("VTEC", "/T.NEW.KWBC.TS.W.0001.000000T0000Z/"),)},
        "info[1]/parameter VTEC begins with /T.",
    ),
    ({"headline": "THIS IS A TEST"}, "info[1]/headline 'THIS IS A TEST'"),
    ({"event": "Required Weekly Test"}, "info[1]/event 'Required Weekly Test'"),
    ({"instruction": "This is only a test."}, "info[1]/instruction 'This is only a test'"),
    ({"event_codes": (NamedValue("SAME", "TOR"),)}, ""),
    ({"parameters": (NamedValue("VTEC", "/O.NEW.KWBC.TS.W.0001.000000T0000Z/"),)}, ""),
    ({"headline": "This is not a test: leave the valley"}, ""),
    ({"headline": "Testing of the dam has failed"}, ""),
]


@pytest.mark.parametrize(("changes", "where"), TESTS)
async def test_actual_alert_that_says_test_is_held(
    harness: DispatchHarness, flood: Alert, changes: dict[str, object], where: str
) -> None:
    answer = await said(harness, saying(harness, flood, severity=Severity.EXTREME, **changes))
    assert answer.state is (AlertState.HELD if where else AlertState.ACCEPTED)
    assert any(f"It says Actual, and that it is a test ({where})" in n for n in answer.notes) == (
        where != ""
    )
    async with harness.db.begin() as c:
        assert [a.kind for a in await stored_alarms.open_alarms(c)] == [stored_alarms.HELD] * (
            where != ""
        )


async def test_resent_text_is_one_alert_while_in_force(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    first = await harness.submit(alert_xml)
    harness.clock.advance(600)
    again = await harness.submit(alert_xml)
    assert (again.created, again.alert_id, again.state) == (False, first.alert_id, first.state)
    assert "is in force: nothing is sent again" in again.notes[0]
    # It is sent all the same by who says so.
    for options in ({"idempotency_key": "mine"}, {"tell_again": True}):
        harness.clock.advance(60)
        assert (await harness.submit(alert_xml, **options)).created
    harness.clock.advance(60)
    assert not (await harness.submit(alert_xml, tell_again=True)).created
    # Somebody else's word is their own.
    assert (await harness.submit(alert_xml, principal=internal("other"))).created
    await end(harness, first)
    harness.clock.advance(60)
    anew = await harness.submit(alert_xml)
    assert anew.created
    assert not (await harness.submit(alert_xml)).created


async def test_resent_text_after_expiry_is_a_new_alert(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    first = await harness.submit(alert_xml)
    harness.clock.advance(24 * 3600)
    anew = await harness.submit(alert_xml)
    assert anew.created
    assert anew.alert_id != first.alert_id


@pytest.mark.parametrize("minutes", [6, 60, 60 * 24])
async def test_sent_time_in_the_future_is_refused(
    harness: DispatchHarness, flood: Alert, minutes: int
) -> None:
    alert = replace(saying(harness, flood), sent=NOON + timedelta(minutes=minutes))
    with pytest.raises(BadInput, match="is in the future"):
        await said(harness, alert)
    async with harness.db.begin() as c:
        with pytest.raises(NotFound):
            await stored_alerts.resolve(c, flood.identifier)


async def test_cancel_of_the_same_second_ends_alert(harness: DispatchHarness, flood: Alert) -> None:
    alert = saying(harness, flood)
    first = await said(harness, alert)
    await said(
        harness,
        replace(alert, identifier="end", msg_type=MsgType.CANCEL, references=(alert.triple,)),
    )
    async with harness.db.begin() as c:
        assert (await status(c, first.alert_id)).state == AlertState.CANCELLED
    await harness.worker().sweep()
    assert harness.sent == []


async def test_identifier_that_looks_like_an_id_is_found(
    harness: DispatchHarness, flood: Alert
) -> None:
    name = str(uuid4())
    submitted = await said(harness, replace(saying(harness, flood), identifier=name))
    async with harness.db.begin() as c:
        assert await stored_alerts.resolve(c, name) == submitted.alert_id
        assert await stored_alerts.live_of_name(c, name) == [submitted.alert_id]


async def test_ambiguous_name_lists_real_alerts_without_tests(
    harness: DispatchHarness, flood: Alert
) -> None:
    first = await said(harness, saying(harness, flood))
    await said(
        harness, replace(saying(harness, flood), sender="tests@example.org", status=Status.SYSTEM)
    )
    async with harness.db.begin() as c:
        assert await stored_alerts.resolve(c, flood.identifier) == first.alert_id
    other = await said(harness, replace(saying(harness, flood), sender="other@example.org"))
    async with harness.db.begin() as c:
        with pytest.raises(BadInput) as ambiguous:
            await stored_alerts.resolve(c, flood.identifier)
    for one, sender in ((first, flood.sender), (other, "other@example.org")):
        assert f"{one.alert_id} of {sender}" in str(ambiguous.value)
    assert "tests@example.org" not in str(ambiguous.value)
