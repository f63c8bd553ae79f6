"""A cancel stops what it ends, and exactly those who were reached hear of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness, Recorder
from ill_providers import message
from planners import planner_of
from sqlalchemy import text, update

from alerting.cap import from_json, read, to_xml
from alerting.channels.base import AMBIGUOUS, PROVIDER_DOWN, Outcome, Outgoing
from alerting.channels.text.phrases import table
from alerting.dispatch.intake.cancel import Cancelled, cancel, revoke_all
from alerting.dispatch.intake.submission import KeyReused
from alerting.dispatch.status import status
from alerting.domain.alert import Alert, MsgType
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.domain.principal import internal
from alerting.errors import BadInput, NotFound
from alerting.store.alerts import stored_alerts
from alerting.store.db import Database
from alerting.store.schema import alert as alert_table
from alerting.store.work import claims
from alerting.store.work.claims import Fenced
from alerting.store.work.outbox import Work


@dataclass
class Slow(Recorder):
    """A provider that answers only when it is let."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Outgoing) -> Outcome:
        self.sent.append(message)
        self.begun.set()
        await self.may_answer.wait()
        return self.answer(message)


async def cancelled(harness: DispatchHarness, alert_id: UUID, **options: object) -> Cancelled:
    values: dict[str, object] = {"principal": internal("test")} | options
    return await cancel(
        harness.db, alert_id, clock=harness.clock, notifier=harness.notifier, **values
    )  # type: ignore[arg-type]


async def tell_some(harness: DispatchHarness, data: bytes, count: int) -> UUID:
    """Submit, and let the providers take the first `count` messages and no more."""
    submitted = await harness.submit(data)

    def cut(m: Outgoing) -> Outcome:
        return Outcome(m.delivery_id, None if len(harness.sent) <= count else PROVIDER_DOWN)

    for channel in harness.channels.values():
        channel.answer = cut
    await harness.worker().sweep()
    harness.channels |= {name: Recorder(name) for name in harness.channels}
    return submitted.alert_id


async def test_the_same_text_after_a_mistaken_cancel_is_told(
    harness: DispatchHarness, flood: Alert
) -> None:
    """Who cancelled the wrong alert sends it once more."""
    data = to_xml(flood)
    first = await harness.submit(data)
    await harness.worker().sweep()
    warned = await notified(harness, first.alert_id)
    assert warned
    harness.clock.advance(10)
    await cancelled(harness, first.alert_id)
    await harness.worker().sweep()
    harness.clock.advance(10)
    again = await harness.submit(data)
    assert again.created
    assert again.state is AlertState.ACCEPTED, again.notes
    await harness.worker().sweep()
    assert await notified(harness, again.alert_id) == warned


async def notified(harness: DispatchHarness, alert_id: UUID) -> set[tuple[str, str]]:
    """(citizen, channel) of deliveries that a provider took."""
    rows = await harness.rows(alert_id)
    return {(r["citizen"], r["channel"]) for r in rows if r["state"] == "accepted"}


async def states(harness: DispatchHarness, alert_id: UUID) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (_, state, reason), n in (await harness.ledger(alert_id)).items():
        found[state, reason] += n
    return found


async def open_rows(harness: DispatchHarness, alert_id: UUID) -> int:
    async with harness.db.begin() as c:
        found = await c.execute(
            text(
                "select count(*) from outbox where alert_id = :a and (state in ('ready','leased')"
                " or done_at is null)"
            ),
            {"a": alert_id},
        )
        return int(found.scalar_one())


async def notice_text(harness: DispatchHarness, done: Cancelled) -> Alert:
    assert done.notice is not None
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, done.notice.alert_id)
    assert stored is not None
    return from_json(stored.document)


async def test_cancel_notifies_reached_and_revokes_the_rest(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    alert_id = await tell_some(harness, alert_xml, 40)
    before = await notified(harness, alert_id)
    planned = len(await harness.rows(alert_id))
    assert 0 < len(before) < planned
    done = await cancelled(harness, alert_id, reason="The barrier holds.")
    assert done.state is AlertState.CANCELLED
    assert done.ended == (alert_id,)
    assert sum(done.reached.values()) == len(before)
    # No worker runs: the ledger says at once what became of the rest.
    await revoke_all(harness.db, harness.clock, done.ended)
    assert await states(harness, alert_id) == Counter(
        {("accepted", "new"): len(before), ("revoked", "cancelled"): planned - len(before)}
    )
    assert await open_rows(harness, alert_id) == 0
    await harness.worker().sweep()
    await harness.maintenance().run_once()
    assert done.notice is not None
    assert await notified(harness, done.notice.alert_id) == before
    assert len(harness.sent) == len(before)
    for alert in (alert_id, done.notice.alert_id):
        async with harness.db.begin() as c:
            assert (await status(c, alert)).settled


async def test_cancel_as_false_alarm_after_full_delivery(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    everybody = await notified(harness, submitted.alert_id)
    harness.channels |= {name: Recorder(name) for name in harness.channels}
    await cancelled(harness, submitted.alert_id, false_alarm=True, reason="A sensor failed.")
    await harness.worker().sweep()
    assert len(harness.sent) == len(everybody)
    wanted = {e: c.language for c in harness.citizens for e in c.endpoints.values()}
    for m in harness.sent:
        words = table()[wanted[m.endpoint]]
        said = f"{m.rendering.subject} {m.rendering.text}"
        assert words.false_alarm in said
        assert words.false_alarm_note in said
        assert "A sensor failed." in said
        # Nothing of what people were told to do.
        assert "Beacon Hill" not in said
        assert "waterfront now" not in said


async def test_cancel_notice_uses_languages_the_alert_lacks(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    async with harness.db.begin() as c:
        await c.execute(text("update citizen set language = 'uk'"))
    await harness.worker().sweep()
    harness.channels |= {name: Recorder(name) for name in harness.channels}
    await cancelled(harness, submitted.alert_id, false_alarm=True)
    await harness.worker().sweep()
    assert harness.sent
    words = table()["uk"]
    for m in harness.sent:
        said = f"{m.rendering.subject}{m.rendering.text}"
        assert said.startswith(f"{words.cancelled} ({words.false_alarm}): ")
        assert words.false_alarm_note in said
        assert "false alarm" not in said


async def test_cancel_notice_is_a_valid_cap_cancel(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    original = read(alert_xml).alerts[0]
    done = await cancelled(harness, submitted.alert_id, reason="Wrong\x00 <b>area</b>.")
    notice = await notice_text(harness, done)
    assert notice.msg_type is MsgType.CANCEL
    assert (notice.sender, notice.status, notice.scope) == (
        original.sender,
        original.status,
        original.scope,
    )
    assert [(r.sender, r.identifier) for r in notice.references] == [
        (original.sender, original.identifier)
    ]
    # Cancelled within the second in which it was sent.
    assert notice.sent > notice.references[0].sent
    assert notice.note == "Wrong area."
    assert [i.language for i in notice.infos] == [i.language for i in original.infos]
    assert [i.areas for i in notice.infos] == [i.areas for i in original.infos]
    assert all(i.ends_danger and not i.instruction for i in notice.infos)
    assert read(to_xml(notice)).alerts[0].repairs == ()


async def test_cancel_repeated_finds_alert_ended(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    count = len(harness.sent)
    both = await asyncio.gather(
        cancelled(harness, submitted.alert_id),
        cancelled(harness, submitted.alert_id, principal=internal("other")),
    )
    assert sorted(d.notice is None for d in both) == [False, True]
    late = next(d for d in both if d.notice is None)
    assert late.state is AlertState.CANCELLED
    await harness.worker().sweep()
    assert len(harness.sent) == 2 * count
    by_notice = next(d.notice for d in both if d.notice is not None)
    assert (await cancelled(harness, by_notice.alert_id)).notice is None
    await harness.worker().sweep()
    assert len(harness.sent) == 2 * count


async def test_cancel_idempotency_key_replays_first_answer(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    first = await cancelled(harness, submitted.alert_id, idempotency_key="k")
    again = await cancelled(harness, submitted.alert_id, idempotency_key="k")
    assert first.notice is not None
    assert again.notice is not None
    assert (again.notice.alert_id, again.notice.created) == (first.notice.alert_id, False)
    with pytest.raises(KeyReused):
        await cancelled(harness, submitted.alert_id, idempotency_key="k", false_alarm=True)


async def test_cancel_of_held_alert_sends_no_notice(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    async with harness.db.begin() as c:
        await c.execute(text("delete from outbox"))
        await c.execute(update(alert_table).values(state="held", state_reason="So many."))
    done = await cancelled(harness, submitted.alert_id)
    assert (done.state, done.reached) == (AlertState.CANCELLED, {})
    await harness.worker().sweep()
    await harness.maintenance().run_once()
    assert harness.sent == []
    async with harness.db.begin() as c:
        assert (await status(c, submitted.alert_id)).settled


async def test_cancel_dry_run_changes_nothing(harness: DispatchHarness, alert_xml: bytes) -> None:
    alert_id = await tell_some(harness, alert_xml, 40)
    before = await states(harness, alert_id)
    done = await cancelled(harness, alert_id, dry_run=True)
    assert sum(done.reached.values()) == len(await notified(harness, alert_id))
    assert (done.ended, done.notice) == ((alert_id,), None)
    assert await states(harness, alert_id) == before
    async with harness.db.begin() as c:
        assert len(await stored_alerts.select_alerts(c, limit=10)) == 1


async def test_cancel_refuses_bad_input_and_changes_nothing(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    with pytest.raises(NotFound):
        await cancelled(harness, UUID(int=0))
    with pytest.raises(BadInput, match="longer than 1,000"):
        await cancelled(harness, submitted.alert_id, reason="x" * 1001)
    async with harness.db.begin() as c:
        assert (await status(c, submitted.alert_id)).state == "accepted"


async def test_cancel_notifies_recipients_of_last_window(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    """The notice is planned while providers are still being called."""
    slow: dict[str, Recorder] = {name: Slow(name) for name in harness.channels}
    others, harness.channels = harness.channels, slow
    submitted = await harness.submit(alert_xml)
    working = asyncio.create_task(harness.worker().sweep())
    channels = [c for c in slow.values() if isinstance(c, Slow)]
    await asyncio.wait(
        [asyncio.create_task(c.begun.wait()) for c in channels],
        return_when=asyncio.FIRST_COMPLETED,
    )
    done = await cancelled(harness, submitted.alert_id)
    assert done.notice is not None
    assert done.reached == {}
    begun = [m for c in slow.values() for m in c.sent]
    assert 0 < len(begun) <= harness.settings.window * len(slow)
    # Another worker plans and sends the notice meanwhile.
    harness.channels = others
    await harness.worker().sweep()
    assert harness.sent == []
    async with harness.db.begin() as c:
        assert not (await status(c, done.notice.alert_id)).settled
    for channel in channels:
        channel.may_answer.set()
    await working
    # No provider call began after the cancel.
    assert [m for c in slow.values() for m in c.sent] == begun
    reached = await notified(harness, submitted.alert_id)
    assert len(reached) == len(begun)
    harness.clock.advance(2)
    await harness.due_now()
    await harness.worker().sweep()
    await harness.maintenance().run_once()
    assert await notified(harness, done.notice.alert_id) == reached
    assert sorted(m.endpoint for m in harness.sent) == sorted(m.endpoint for m in begun)
    async with harness.db.begin() as c:
        found = await status(c, done.notice.alert_id)
    assert found.settled
    assert found.audience == len({citizen for citizen, _ in reached})


async def test_cancel_notifies_recipients_in_doubt(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    for channel in harness.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, AMBIGUOUS)
    await harness.worker().sweep()
    doubtful = {m.endpoint for m in harness.sent}
    harness.channels |= {name: Recorder(name) for name in harness.channels}
    done = await cancelled(harness, submitted.alert_id)
    await revoke_all(harness.db, harness.clock, done.ended)
    await harness.worker().sweep()
    assert {m.endpoint for m in harness.sent} == doubtful
    assert {s for s, _ in await states(harness, submitted.alert_id)} == {"in_doubt", "revoked"}


async def test_cancel_stops_planning(harness: DispatchHarness, alert_xml: bytes) -> None:
    submitted = await harness.submit(alert_xml)
    batches = planned = 0

    async def cancel_after_two(batch: int) -> None:
        nonlocal batches, planned
        batches = batch
        if batch == 3:
            planned = len(await harness.rows(submitted.alert_id))
            await cancelled(harness, submitted.alert_id)

    with pytest.raises(Fenced):
        await planner_of(harness, cancel_after_two).run(await harness.claim("planner"))
    await harness.worker().sweep()
    await revoke_all(harness.db, harness.clock, [submitted.alert_id])
    assert batches == 3
    rows = await harness.rows(submitted.alert_id)
    assert 0 < len(rows) == planned < len(harness.expected(alert_xml))
    assert await open_rows(harness, submitted.alert_id) == 0
    assert harness.sent == []
    assert {(r["state"], r["reason"]) for r in rows} == {("revoked", "cancelled")}


async def test_update_stops_alert_it_corrects(harness: DispatchHarness, alert_xml: bytes) -> None:
    slow: dict[str, Recorder] = {name: Slow(name) for name in harness.channels}
    others, harness.channels = harness.channels, slow
    submitted = await harness.submit(alert_xml)
    working = asyncio.create_task(harness.worker().sweep())
    channels = [c for c in slow.values() if isinstance(c, Slow)]
    await asyncio.wait(
        [asyncio.create_task(c.begun.wait()) for c in channels],
        return_when=asyncio.FIRST_COMPLETED,
    )
    async with harness.db.begin() as c:
        stored = await stored_alerts.get(c, submitted.alert_id)
    assert stored is not None
    first = from_json(stored.document)
    harness.clock.advance(1)
    correction = replace(
        first,
        identifier="corrected",
        sent=harness.clock.now().replace(microsecond=0),
        msg_type=MsgType.UPDATE,
        references=(first.triple,),
        infos=tuple(replace(i, instruction="Stay upstairs.") for i in first.infos),
    )
    corrected = await harness.submit(to_xml(correction), now=False)
    begun = [m for c in slow.values() for m in c.sent]
    for channel in channels:
        channel.may_answer.set()
    await working
    older = await harness.code(submitted.alert_id)
    assert [m for c in slow.values() for m in c.sent if older in m.rendering.link] == begun
    await revoke_all(harness.db, harness.clock, [])
    found = await states(harness, submitted.alert_id)
    assert found["accepted", "new"] == len(begun)
    assert found["revoked", "superseded"] == found.total() - len(begun)
    assert await open_rows(harness, submitted.alert_id) == 0
    harness.channels = others
    await harness.worker().sweep()
    everybody = {e for _, e in harness.expected(alert_xml)}
    told_anew = [
        m.endpoint
        for c in (*slow.values(), *others.values())
        for m in c.sent
        if older not in m.rendering.link
    ]
    assert sorted(told_anew) == sorted(everybody)
    assert len(await notified(harness, corrected.alert_id)) == len(everybody)


async def test_cancel_notice_survives_worker_death_in_last_window(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    slow: dict[str, Recorder] = {name: Slow(name) for name in harness.channels}
    others, harness.channels = harness.channels, slow
    submitted = await harness.submit(alert_xml)
    working = asyncio.create_task(harness.worker().sweep())
    channels = [c for c in slow.values() if isinstance(c, Slow)]
    await asyncio.wait(
        [asyncio.create_task(c.begun.wait()) for c in channels],
        return_when=asyncio.FIRST_COMPLETED,
    )
    done = await cancelled(harness, submitted.alert_id)
    assert done.notice is not None
    begun = [m.endpoint for c in slow.values() for m in c.sent]
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    harness.channels = others
    # The dead worker's lease still holds; its window is open and nobody may say who was reached.
    await harness.worker().sweep()
    assert harness.sent == []
    async with harness.db.begin() as c:
        await c.execute(
            text("update outbox set lease_until = now() - interval '1 s' where state = 'leased'")
        )
    await harness.worker().sweep()
    await harness.maintenance().run_once()
    harness.clock.advance(2)
    async with harness.db.begin() as c:
        await c.execute(text("update outbox set not_before = now() - interval '1 minute'"))
    await harness.worker().sweep()
    assert sorted(m.endpoint for m in harness.sent) == sorted(begun)
    assert await states(harness, submitted.alert_id) == Counter(
        {
            ("in_doubt", "worker-died"): len(begun),
            ("revoked", "cancelled"): len(await harness.rows(submitted.alert_id)) - len(begun),
        }
    )


async def test_cancel_stops_open_window_after_calls_in_flight(
    harness: DispatchHarness, alert_xml: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Slow("email", concurrency=1)
    harness.channels = {"email": one}
    submitted = await harness.submit(alert_xml)
    worker = harness.worker()
    # Its connection has been quick, so that a window holds more than one call.
    routes = worker._deliverer._sender._routes
    one.may_answer.set()
    await routes.window("email", 64)
    await routes.send("email", message(10**9, channel="email"), Lane.SEVERE, "t")
    one.begun.clear()
    one.may_answer.clear()

    ended = asyncio.Event()
    state_seen = claims.state_seen

    async def look(db: Database, work: Work) -> AlertState | None:
        state = await state_seen(db, work)
        if state is AlertState.CANCELLED:
            asyncio.get_running_loop().call_soon(ended.set)
        return state

    monkeypatch.setattr(claims, "state_seen", look)
    async with harness.db.begin() as c:
        plan = await c.scalar(text("select id from outbox"))
    await harness.work_on(plan)
    async with harness.db.begin() as c:
        widest = text("select id from outbox where channel = 'email' order by size desc limit 1")
        chunk = await c.scalar(widest)
    work = await harness.claim_one(chunk, "test")
    assert work is not None
    assert work.size > 1
    working = asyncio.create_task(worker._do(work))
    await one.begun.wait()
    async with harness.db.begin() as c:
        assert await c.scalar(text("select max(window_to - window_from) from outbox")) > 1
    await cancelled(harness, submitted.alert_id)
    async with asyncio.timeout(60):
        await ended.wait()
    one.may_answer.set()
    await working
    assert Counter(r["state"] for r in await harness.rows(submitted.alert_id))["accepted"] == 1
