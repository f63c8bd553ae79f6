"""What the answer to a submission says beside its id."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import delete, select, update

from alerting.audience.h3_cover import cell_of
from alerting.cap import from_json, read, to_xml
from alerting.dispatch.intake.submit import Submitted
from alerting.domain.alert import Alert, Area, Circle, MsgType, Severity
from alerting.domain.principal import Principal, internal
from alerting.store.alerts import stored_alerts, stored_events
from alerting.store.schema import citizen, place

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(harness: DispatchHarness) -> None:
    harness.begin_at(NOON)


async def say(
    harness: DispatchHarness,
    alert: Alert,
    principal: Principal | None = None,
    **changes: object,
) -> Submitted:
    """Submit it as sent now and in force for hours."""
    sent = harness.clock.now()
    ends = sent + timedelta(hours=8)
    said = replace(alert, sent=sent, **changes)  # type: ignore[arg-type]
    infos = tuple(replace(i, expires=ends, onset=None) for i in said.infos)
    data = to_xml(replace(said, infos=infos))
    return await harness.submit(data, now=False, principal=principal or internal("test"))


async def test_note_of_event_match_and_split(harness: DispatchHarness, flood: Alert) -> None:
    first = await say(harness, flood)
    assert not first.notes
    copy = await say(harness, flood, identifier="met-1", sender="met@example.org")
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, first.alert_id)
    assert stored is not None
    (note,) = copy.notes
    assert note.startswith(
        f"It was matched with event {stored.event_id}, like {flood.identifier} of {flood.sender}: "
    )
    assert note.endswith(f"If it is another danger: alerting event split {copy.alert_id}")
    async with harness.db.begin() as c:
        assert await stored_events.part(c, copy.alert_id, by="test") != stored.event_id


async def test_note_of_events_merged_by_references(harness: DispatchHarness, flood: Alert) -> None:
    other = replace(
        flood,
        identifier="other",
        infos=tuple(replace(i, event="Chemical fire", headline="Fire") for i in flood.infos),
    )
    await say(harness, flood)
    await say(harness, other)
    both = await say(
        harness,
        flood,
        identifier="both",
        msg_type=MsgType.UPDATE,
        references=tuple(replace(a.triple, sent=NOON) for a in (flood, other)),
    )
    assert any("alerts of 2 events, which are now merged" in note for note in both.notes)


async def play(harness: DispatchHarness, alert: Alert, **changes: object) -> Submitted:
    """Submit it and send all that comes of it."""
    done = await say(harness, alert, **changes)
    await harness.due_now()
    await harness.worker().sweep()
    return done


async def test_note_of_people_an_update_interrupts(harness: DispatchHarness, flood: Alert) -> None:
    first = await play(harness, flood)
    people = len({m.endpoint for m in harness.sent})
    assert not first.notes
    notified = len(harness.sent)
    harness.clock.advance(600)
    of_first = replace(flood.triple, sent=NOON)
    more_severe = tuple(replace(i, severity=Severity.EXTREME) for i in flood.infos)
    update = replace(
        flood, identifier="v2", msg_type=MsgType.UPDATE, references=(of_first,), infos=more_severe
    )
    second = await play(harness, update)
    (note,) = second.notes
    assert note.startswith("It interrupts ")
    said = int(note.split()[2])
    rows = await harness.rows(second.alert_id)
    heard = {r["citizen"] for r in rows if r["channel"] != "email" and r["state"] == "accepted"}
    assert said == len(heard)
    assert len(harness.sent) > notified
    harness.clock.advance(600)
    same = await play(
        harness,
        update,
        identifier="v3",
        references=(of_first, replace(update.triple, sent=NOON + timedelta(seconds=600))),
    )
    (note,) = same.notes
    assert note.startswith(f"It interrupts nobody of {people} people")
    assert "--tell-again" in note


async def test_who_may_not_read_is_told_of_no_single_person(
    harness: DispatchHarness, flood: Alert
) -> None:
    """Neither how few people an update interrupts, nor whether there is anybody."""
    submitter = Principal("key:gauges", rights=frozenset({"submit"}))
    async with harness.db.begin() as c:
        everybody = list(await c.scalars(select(citizen.c.id)))
    said = []
    for left in (14, 13, 9, 0):
        async with harness.db.begin() as c:
            await c.execute(delete(citizen).where(citizen.c.id.in_(everybody[left:])))
            await c.execute(update(place).values(lat=54.5, lon=2.5, cell=cell_of(54.5, 2.5)))
        harness.clock.advance(60)
        alone = Area("x", circles=(Circle(54.5, 2.5, 50),))
        infos = tuple(replace(i, areas=(alone,)) for i in flood.infos)
        changes = {"identifier": f"v{left}", "msg_type": MsgType.UPDATE, "infos": infos}
        done = await say(harness, flood, principal=submitter, **changes)
        said.append([n for n in done.notes if "interrupt" in n])
    assert said[0] == said[1]
    assert "about 10 people" in said[0][0]
    assert said[2] == said[3]
    assert "fewer than 10 people" in said[2][0]


async def test_tell_again_is_written_in_the_document(
    harness: DispatchHarness, flood: Alert
) -> None:
    submitted = await harness.submit(to_xml(flood), tell_again=True)
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, submitted.alert_id)
    assert stored is not None
    assert all(i.tell_again for i in from_json(stored.document).infos)
    again = read(to_xml(from_json(stored.document))).alerts[0]
    assert again.told_again() == again
    assert not any(i.tell_again for i in flood.infos)
