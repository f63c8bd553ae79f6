"""What the answer to a submission says beside its id."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from town import Town

from alerting.cap import from_json, read, to_xml
from alerting.dispatch.intake.submit import Submitted
from alerting.domain.alert import Alert, MsgType, Severity
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


async def play(town: Town, alert: Alert, **changes: object) -> Submitted:
    """Submit it and send all that comes of it."""
    done = await say(town, alert, **changes)
    await town.due_now()
    await town.worker().sweep()
    return done


async def test_an_update_says_how_many_it_interrupts(town: Town, flood: Alert) -> None:
    first = await play(town, flood)
    people = len({m.endpoint for m in town.sent})
    assert not first.notes
    told = len(town.sent)
    town.clock.advance(600)
    of_first = replace(flood.triple, sent=NOON)
    graver = tuple(replace(i, severity=Severity.EXTREME) for i in flood.infos)
    update = replace(
        flood, identifier="v2", msg_type=MsgType.UPDATE, references=(of_first,), infos=graver
    )
    second = await play(town, update)
    (note,) = second.notes
    assert note.startswith("It interrupts ")
    said = int(note.split()[2])
    rows = await town.rows(second.alert_id)
    heard = {r["citizen"] for r in rows if r["channel"] != "email" and r["state"] == "accepted"}
    assert said == len(heard)
    assert len(town.sent) > told
    town.clock.advance(600)
    same = await play(
        town,
        update,
        identifier="v3",
        references=(of_first, replace(update.triple, sent=NOON + timedelta(seconds=600))),
    )
    (note,) = same.notes
    assert note.startswith(f"It interrupts nobody of {people} people")
    assert "--tell-again" in note


async def test_who_insists_says_so_in_the_document(town: Town, flood: Alert) -> None:
    submitted = await town.submit(to_xml(flood), tell_again=True)
    async with town.db.begin() as c:
        stored = await alerts.get(c, submitted.alert_id)
    assert stored is not None
    assert all(i.tell_again for i in from_json(stored.document).infos)
    again = read(to_xml(from_json(stored.document))).alerts[0]
    assert again.told_again() == again
    assert not any(i.tell_again for i in flood.infos)
