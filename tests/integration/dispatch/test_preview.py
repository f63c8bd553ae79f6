"""A dry run says what comes of an alert, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import get_ident

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import delete, func, insert, select, text, update

from alerting.audience.h3_cover import cell_of
from alerting.cap import read, to_xml
from alerting.dispatch.evaluation import silences
from alerting.dispatch.intake import foresee as foreseeing
from alerting.dispatch.intake import preview as previewing
from alerting.dispatch.intake.accept import accept, lock_submission
from alerting.dispatch.intake.foresee import Hears
from alerting.dispatch.intake.preview import preview
from alerting.dispatch.intake.previewed import Preview, Spread
from alerting.dispatch.intake.submission import KeyReused, Request, prepare
from alerting.domain.alert import Alert, Area, Circle, MsgType, NamedValue, Severity
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal, internal
from alerting.domain.segments import measure
from alerting.errors import BadInput, Forbidden
from alerting.store.alerts import threads
from alerting.store.schema import audit, citizen, metadata, place
from alerting.throttle.silence.matcher import Matcher

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(harness: DispatchHarness) -> None:
    harness.begin_at(NOON)


def at(harness: DispatchHarness, alert: Alert, **changes: object) -> bytes:
    """The document, as sent now and in force for hours."""
    sent = harness.clock.now()
    ends = sent + timedelta(hours=8)
    infos = tuple(replace(i, expires=ends, onset=None) for i in alert.infos)
    said = replace(alert, sent=sent, infos=infos)
    return to_xml(replace(said, **changes))  # type: ignore[arg-type]


async def look(
    harness: DispatchHarness, data: bytes, principal: Principal | None = None, **options: object
) -> Preview:
    return await preview(
        harness.db,
        data,
        principal=principal or internal("test"),
        clock=harness.clock,
        settings=harness.settings,
        **options,  # type: ignore[arg-type]
    )


async def rows(harness: DispatchHarness) -> dict[str, int]:
    async with harness.db.begin() as c:
        return {
            name: await c.scalar(select(func.count()).select_from(table)) or 0
            for name, table in metadata.tables.items()
        }


async def play(harness: DispatchHarness, data: bytes) -> list[dict[str, object]]:
    """Submit it, send all that comes of it, and say what did."""
    done = await harness.submit(data, now=False)
    await harness.due_now()
    await harness.worker().sweep()
    return await harness.rows(done.alert_id)


def notified(ledger: Sequence[dict[str, object]]) -> Counter[object]:
    return Counter(r["channel"] for r in ledger if r["state"] == "accepted")


async def test_preview_matches_what_is_sent(harness: DispatchHarness, flood: Alert) -> None:
    data = at(harness, flood)
    before = await rows(harness)
    foreseen = await look(harness, data)
    assert await rows(harness) == before | {"audit": before["audit"] + 1}
    assert foreseen.submitted.state is AlertState.ACCEPTED
    assert not harness.sent

    ledger = await play(harness, data)
    assert foreseen.people.count == len({r["citizen"] for r in ledger})
    assert foreseen.people.margin == 0
    heard = {r["citizen"] for r in ledger if r["state"] == "accepted" and r["channel"] != "email"}
    assert foreseen.hears[Hears.AT_ONCE].count == len(heard)
    assert {c: n.count for c, n in foreseen.channels.items()} == notified(ledger)
    sent = Counter((m.rendering.channel, m.rendering.text) for m in harness.sent)
    shown = {(t.channel, unlinked(t.text)): t.deliveries.count for t in foreseen.texts}
    assert shown == {(channel, unlinked(text)): n for (channel, text), n in sent.items()}
    for one in foreseen.texts:
        assert one.sms == (measure(one.text) if one.channel == "sms" else None)


def unlinked(text: str) -> str:
    """A text without what names its alert, which a dry run has none to name."""
    return re.sub(r"(https?://\S+/)\w{8}\b", r"\1", text)


async def test_preview_of_update_and_end_uses_what_people_know(
    harness: DispatchHarness, flood: Alert
) -> None:
    await play(harness, at(harness, flood))
    first = replace(flood.triple, sent=NOON)
    harness.clock.advance(600)
    same = at(harness, flood, identifier="v2", msg_type=MsgType.UPDATE, references=(first,))
    foreseen = await look(harness, same)
    assert not foreseen.hears.get(Hears.AT_ONCE)
    assert foreseen.ends == (f"{flood.identifier} of {flood.sender}",)
    end = at(harness, flood, identifier="end", msg_type=MsgType.CANCEL, references=(first,))
    over = await look(harness, end)
    ledger = await play(harness, end)
    assert over.people.count == len({r["citizen"] for r in ledger})
    assert {c: n.count for c, n in over.channels.items()} == notified(ledger)
    assert not over.reasons.keys() & {(Hears.NOTHING, None)}


async def test_preview_of_end_includes_those_who_moved_away(
    harness: DispatchHarness, flood: Alert
) -> None:
    """It is for whoever was told, wherever they are now, as the planner has it."""
    done = await harness.submit(at(harness, flood), now=False)
    await harness.due_now()
    await harness.worker().sweep()
    told_of_it = {r["citizen"] for r in await harness.rows(done.alert_id)}
    async with harness.db.begin() as c:
        away = {"lat": 40.0, "lon": -20.0, "cell": cell_of(40.0, -20.0)}
        await c.execute(update(place).where(place.c.citizen_id % 2 == 0).values(**away))
    harness.clock.at += timedelta(minutes=5)
    end = await harness.cancel_of(done.alert_id)
    foreseen = await look(harness, end)
    assert foreseen.people.count == len(told_of_it)
    assert {r["citizen"] for r in await play(harness, end)} == told_of_it


async def test_preview_shows_held_and_silenced(harness: DispatchHarness, flood: Alert) -> None:
    wide = tuple(replace(i, areas=(Area("x", circles=(Circle(54.5, 2.5, 3000),)),))
                 for i in flood.infos)  # fmt: skip
    held = await look(harness, at(harness, replace(flood, infos=wide)))
    assert held.submitted.state is AlertState.HELD
    assert any("a radius of 3,000 km" in n for n in held.submitted.notes)
    assert any("alerting approve ALERT" in n for n in held.submitted.notes)
    assert held.people.count == len(harness.citizens)
    assert held.area_km2 == pytest.approx(27_770_000, rel=0.01)

    async with harness.db.begin() as c:
        await silences.add(
            c,
            matchers=[Matcher.parse(f"sender={flood.sender}")],
            area=None,
            starts_at=NOON,
            ends_at=NOON + timedelta(hours=1),
            comment="known",
            by="test",
            now=NOON,
        )
    less = tuple(replace(i, severity=Severity.MODERATE) for i in flood.infos)
    quiet = await look(harness, at(harness, replace(flood, infos=less)))
    assert set(quiet.hears) == {Hears.NOTHING}
    (silence,) = quiet.silenced_by
    assert silence.endswith("by test: known")
    (silence,) = (
        await look(harness, at(harness, replace(flood, infos=less)), SUBMITTER)
    ).silenced_by
    assert "by test" not in silence
    assert silence.endswith(": known")


SUBMITTER = Principal("key:gauges", rights=frozenset({"submit"}))


async def around(harness: DispatchHarness, flood: Alert, people: int) -> bytes:
    """A document for a circle that holds so many people."""
    areas = (Area("x", circles=(Circle(54.5, 2.5, 50),)),)
    infos = tuple(replace(i, areas=areas) for i in flood.infos)
    async with harness.db.begin() as c:
        await c.execute(
            delete(citizen).where(
                citizen.c.id.not_in(select(citizen.c.id).order_by(citizen.c.id).limit(people))
            )
        )
        await c.execute(update(place).values(lat=54.5, lon=2.5, cell=cell_of(54.5, 2.5)))
    return at(harness, replace(flood, infos=infos))


async def test_who_may_not_read_never_learns_whether_one_person_is_there(
    harness: DispatchHarness, flood: Alert
) -> None:
    """Of an area with nobody, one and nine people all that is said is the same."""
    async with harness.db.begin() as c:
        await silences.add(
            c,
            matchers=[Matcher.parse(f"sender={flood.sender}")],
            area=None,
            starts_at=NOON,
            ends_at=NOON + timedelta(hours=1),
            comment="known",
            by="test",
            now=NOON,
        )
    said = []
    for people in (9, 1, 0):
        data = await around(harness, flood, people)
        said.append((await look(harness, data, SUBMITTER)).to_json())
    assert said[0] == said[1] == said[2]
    assert said[0]["silenced_by"]
    assert any("Fewer than 10 registered citizens" in note for note in said[0]["notes"])


@pytest.mark.parametrize("moved", ["mirrored", "metres", "geocode"])
async def test_no_other_reading_of_an_area_says_so_either(
    harness: DispatchHarness, flood: Alert, moved: str
) -> None:
    shapes = {
        "mirrored": Area("x", circles=(Circle(2.5, 54.5, 1),)),
        "metres": Area("x", circles=(Circle(54.5, 2.5, 900),)),
        "geocode": Area("x", geocodes=(NamedValue("HOUSE", "7"),)),
    }
    said = []
    for people in (9, 0):
        await around(harness, flood, people)
        async with harness.db.begin() as c:
            ids = list(await c.scalars(select(citizen.c.id)))
            if ids and moved == "geocode":
                await c.execute(
                    insert(metadata.tables["citizen_geocode"]),
                    [{"citizen_id": i, "name": "HOUSE", "value": "7"} for i in ids],
                )
        infos = tuple(replace(i, areas=(shapes[moved],)) for i in flood.infos)
        data = at(harness, replace(flood, infos=infos))
        said.append((await look(harness, data, SUBMITTER)).to_json())
        who_may_read = (await look(harness, data)).to_json()
        assert people or any("nobody" in str(n).lower() for n in who_may_read["notes"])
    assert said[0] == said[1]


async def test_two_areas_that_differ_by_one_person_are_told_alike(
    harness: DispatchHarness, flood: Alert
) -> None:
    said = []
    for people in (64, 63):
        data = await around(harness, flood, people)
        found = await look(harness, data, SUBMITTER)
        said.append((found.people, found.untranslated, found.area_km2))
        numbers = [found.people, *found.hears.values(), *found.channels.values()]
        numbers += [*found.languages.values(), *found.reasons.values()]
        numbers += [t.deliveries for t in found.texts]
        assert all(n.count % 10 == 0 and n.margin >= 10 for n in numbers)
        assert found.texts
    assert said[0] == said[1]


@pytest.mark.parametrize("people", [9, 10])
async def test_preview_hides_small_counts_without_right(
    harness: DispatchHarness, flood: Alert, people: int
) -> None:
    data = await around(harness, flood, people)
    for who in (SUBMITTER, internal("test")):
        found = await look(harness, data, who)
        said = found.to_json()
        hidden = people < 10 and who is SUBMITTER
        assert found.few is hidden
        margin = 10 if who is SUBMITTER else 0
        expected = {"fewer_than": 10} if hidden else {"count": people, "margin": margin}
        assert said["people"] == expected
        for notified in ("hears", "channels", "languages", "reasons", "texts"):
            # Who may not read learns of ten and more what is true of ten of them.
            if hidden or who is not SUBMITTER:
                assert bool(said[notified]) is not hidden, notified
        assert said["area_km2"] > 7_000


async def test_preview_is_recorded_in_the_audit(harness: DispatchHarness, flood: Alert) -> None:
    data = await around(harness, flood, 9)
    await look(harness, data, SUBMITTER)
    async with harness.db.begin() as c:
        query = select(audit).where(audit.c.action == "alert.preview")
        [line] = (await c.execute(query)).all()
    assert (line.actor, line.subject) == ("key:gauges", flood.identifier)
    assert line.detail["people"] == 9
    assert line.detail["km2"] == pytest.approx(7_854, rel=0.01)


async def test_preview_estimates_from_a_sample(
    harness: DispatchHarness, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = at(harness, flood)
    every = await look(harness, data)
    monkeypatch.setattr(previewing, "_MOST", 60)
    some = await look(harness, data)
    for exact, about in (
        (every.people, some.people),
        (every.hears[Hears.AT_ONCE], some.hears[Hears.AT_ONCE]),
    ):
        assert about.margin > 0
        # Twice the margin is beyond all but one of many thousand samples; the sample is the same
        # for the same directory but for its seed.
        assert abs(exact.count - about.count) <= 3 * about.margin + 10
    assert sum(n.count for n in some.hears.values()) == pytest.approx(some.people.count, abs=5)


async def test_preview_refuses_what_submit_refuses(harness: DispatchHarness, flood: Alert) -> None:
    data = at(harness, flood)
    with pytest.raises(BadInput, match="Did you mean Severe"):
        await look(harness, data.replace(b">Severe<", b">Sever<"))
    nobody = Principal("key:x", rights=frozenset({"submit"}), senders=("other@example.org",))
    with pytest.raises(Forbidden):
        await look(harness, data, nobody)
    done = await harness.submit(data, now=False)
    again = await look(harness, data)
    assert not again.submitted.created
    assert again.submitted.alert_id == done.alert_id


async def test_preview_and_submit_do_not_wait_for_each_other(
    harness: DispatchHarness, flood: Alert
) -> None:
    """A submission of the same sender goes through while a dry run is looked at, and the other way
    round."""
    data = at(harness, flood)
    async with harness.db.begin() as connection:
        await threads.lock(connection, {f"sender {flood.sender.lower()}"})
        assert (await look(harness, data)).submitted.created


def one_of(data: bytes) -> Alert:
    return read(data).alerts[0]


async def test_preview_writes_conflict_with_nothing(harness: DispatchHarness, flood: Alert) -> None:
    """What a dry run writes and takes back is in nobody's way, nor anybody in its."""
    data = at(harness, flood)
    async with previewing._undone(harness.db) as connection:
        request = Request(internal("test"), harness.clock.now(), b"")
        prepared = prepare(internal("test"), data, read=one_of)
        mine = await accept(connection, prepared, data, request, begin=False)
        assert mine.created
        # Each would wait for the transaction that has written the same triple.
        async with asyncio.timeout(60):
            assert (await look(harness, data)).submitted.created
            done = await harness.submit(data, now=False)
    assert done.created
    # And the other way round: it comes while the same alert is submitted.
    data = at(harness, flood, identifier="second")
    async with harness.db.begin() as connection:
        alert = read(data).alerts[0]
        request = Request(internal("test"), harness.clock.now(), b"")
        await lock_submission(connection, alert, request)
        await accept(connection, prepare(internal("test"), data, read=one_of), data, request)
        assert (await look(harness, data)).submitted.created


@pytest.mark.parametrize(("limit", "value"), [("_TIMEOUT_MS", 50), ("_TIMEOUT_S", 0.3)])
@pytest.mark.parametrize("table", ["alert", "place"])
async def test_preview_gives_up_after_time_limit(
    harness: DispatchHarness,
    flood: Alert,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
    table: str,
) -> None:
    monkeypatch.setattr(previewing, limit, value)
    async with harness.db.begin() as connection:
        await connection.execute(text(f"lock table {table}"))
        with pytest.raises(BadInput, match=r"took too long\. Try a smaller area"):
            await look(harness, at(harness, flood))
    monkeypatch.undo()
    assert (await look(harness, at(harness, flood))).submitted.created


async def test_preview_computes_outside_the_event_loop(
    harness: DispatchHarness, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    on: dict[str, int] = {}

    def noting(where: object, name: str, work: Callable[..., object]) -> None:
        def noted(*args: object, **options: object) -> object:
            on[name] = get_ident()
            return work(*args, **options)

        monkeypatch.setattr(where, name, noted)

    noting(previewing, "findings", previewing.findings)
    noting(previewing, "texts", previewing.texts)
    noting(previewing, "area_km2", previewing.area_km2)
    noting(foreseeing, "decide", foreseeing.decide)
    await look(harness, at(harness, flood))
    assert set(on) == {"findings", "texts", "area_km2", "decide"}
    assert get_ident() not in on.values()


async def test_preview_reports_alert_accepted_before(
    harness: DispatchHarness, flood: Alert
) -> None:
    """By the same text sent now while its alert is in force, and by the same key."""
    data = at(harness, flood)
    assert (await look(harness, data, now=True)).submitted.created
    first = await harness.submit(data, now=True)
    harness.clock.advance(60)
    again = (await look(harness, data, now=True)).submitted
    assert (again.created, again.alert_id) == (False, first.alert_id)
    real = await harness.submit(data, now=True)
    assert (real.created, real.alert_id) == (False, first.alert_id)

    keyed = await harness.submit(data, now=True, idempotency_key="tide")
    harness.clock.advance(60)
    again = (await look(harness, data, now=True, idempotency_key="tide")).submitted
    assert (again.created, again.alert_id) == (False, keyed.alert_id)
    before = await rows(harness)
    assert (await look(harness, data, now=True, idempotency_key="ebb")).submitted.created
    assert await rows(harness) == before | {"audit": before["audit"] + 1}
    with pytest.raises(KeyReused):
        await look(harness, data + b" ", now=True, idempotency_key="tide")


def test_preview_has_margins_for_sampled_numbers() -> None:
    whole, part = Spread(100, 1.0), Spread(2000, 500.0)
    assert str(whole.of(40)) == "40"
    half = part.of(1000)
    assert half.count == 500_000
    assert 21_000 < half.margin < 50_000
    assert part.of(0).count == 0
