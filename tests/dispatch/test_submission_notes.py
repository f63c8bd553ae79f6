"""What the answer to a submission says beside its id."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from town import Town

from alerting.cap import to_xml
from alerting.dispatch.intake.submit import Submitted
from alerting.domain.alert import Alert, MsgType
from alerting.store import alerts, events

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(town: Town) -> None:
    town.begin_at(NOON)


async def say(town: Town, alert: Alert, **changes: object) -> Submitted:
    """Submit it as sent now and in force for hours."""
    sent = town.clock.now()
    ends = sent + timedelta(hours=8)
    infos = tuple(replace(i, expires=ends, onset=None) for i in alert.infos)
    said = replace(alert, sent=sent, infos=infos)
    return await town.submit(to_xml(replace(said, **changes)), now=False)  # type: ignore[arg-type]


async def test_what_is_taken_for_one_event_is_said_and_can_be_parted(
    town: Town, flood: Alert
) -> None:
    first = await say(town, flood)
    assert not first.notes
    copy = await say(town, flood, identifier="met-1", sender="met@example.org")
    async with town.db.begin() as c:
        stored = await alerts.get(c, first.alert_id)
    assert stored is not None
    (note,) = copy.notes
    assert note.startswith(
        f"It is taken for event {stored.event_id}, like {flood.identifier} of {flood.sender}: "
    )
    assert note.endswith(f"If it is another danger: alerting event split {copy.alert_id}")
    async with town.db.begin() as c:
        assert await events.part(c, copy.alert_id, by="test") != stored.event_id


async def test_events_made_one_by_references_are_said(town: Town, flood: Alert) -> None:
    other = replace(
        flood,
        identifier="other",
        infos=tuple(replace(i, event="Chemical fire", headline="Fire") for i in flood.infos),
    )
    await say(town, flood)
    await say(town, other)
    both = await say(
        town,
        flood,
        identifier="both",
        msg_type=MsgType.UPDATE,
        references=tuple(replace(a.triple, sent=NOON) for a in (flood, other)),
    )
    assert any("alerts of 2 events, which are one from now on" in note for note in both.notes)
