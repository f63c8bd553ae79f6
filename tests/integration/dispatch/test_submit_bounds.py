"""Long values are accepted or refused with a sentence, and nobody works anything out twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from threading import Event

import pytest
from dispatch_harness import DispatchHarness
from sizes import size
from sqlalchemy import text

from alerting.cap import to_xml
from alerting.dispatch.intake import submission
from alerting.dispatch.intake import submit as submitting
from alerting.dispatch.placement import database
from alerting.dispatch.placement import place as placement
from alerting.domain.alert import Alert, Area, NamedValue, Polygon
from alerting.domain.principal import Principal
from alerting.errors import BadInput, Forbidden
from alerting.throttle.events import stored_signature
from alerting.throttle.events.signature import Signature, signature


def with_area(alert: Alert, area: Area) -> Alert:
    return replace(alert, infos=tuple(replace(i, areas=(area,)) for i in alert.infos))


def unlike_words(count: int) -> str:
    rng = Random(5)
    return " ".join("".join(rng.choices("abcdefghijklmnop", k=9)) for _ in range(count))


def scribble(points: int) -> Polygon:
    rng = Random(3)
    ring = [(rng.uniform(54.46, 54.60), rng.uniform(2.40, 2.62)) for _ in range(points)]
    return Polygon((*ring, ring[0]))


@pytest.mark.parametrize(
    "area",
    [
        Area(unlike_words(330), geocodes=(NamedValue("UGC", "TXC001"),)),
        Area("Lower Port", geocodes=(NamedValue("UGC", unlike_words(600)),)),
        Area(unlike_words(1_900), polygons=(scribble(4),)),
    ],
    ids=["areaDesc", "geocode", "both"],
)
async def test_long_values_are_accepted_and_found_again(
    harness: DispatchHarness, flood: Alert, area: Area
) -> None:
    first = await harness.submit(to_xml(with_area(flood, area)))
    assert first.created
    like = replace(with_area(flood, area), identifier="like-1", sender="met@example.org")
    second = await harness.submit(to_xml(like))
    async with harness.db.begin() as c:
        rows = await c.execute(text("select id, event_id, blocks from alert"))
        stored = {row.id: row for row in rows}
    assert stored[first.alert_id].event_id == stored[second.alert_id].event_id
    assert max(len(b) for row in stored.values() for b in row.blocks) <= 200


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"identifier": "i" * 3_000}, "identifier of 3,000 characters"),
        ({"sender": "s" * 301}, "sender of 301 characters"),
    ],
)
async def test_too_long_names_are_refused(
    harness: DispatchHarness, flood: Alert, changes: dict[str, str], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        await harness.submit(to_xml(replace(flood, **changes)))


async def test_distorted_ring_reaches_intended_area(harness: DispatchHarness, flood: Alert) -> None:
    area = Area("Lower Port", polygons=(scribble(800),))
    done = await harness.submit(to_xml(with_area(flood, area)))
    assert done.created


async def test_signature_is_stored_and_not_recomputed(
    harness: DispatchHarness, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await harness.submit(to_xml(flood))
    database._seen.clear()
    worked_out: list[str] = []

    def watched(alert: Alert) -> Signature:
        worked_out.append(alert.identifier)
        return signature(alert)

    for module in (database, placement):
        monkeypatch.setattr(module, "signature", watched)
    await harness.submit(to_xml(replace(flood, identifier="like-1", sender="met@example.org")))
    assert worked_out == []
    # An alert of before has none: it is worked out once, and kept.
    async with harness.db.begin() as c:
        await c.execute(text("delete from alert_signature"))
    for n in (2, 3):
        database._seen.clear()
        await harness.submit(to_xml(replace(flood, identifier=f"like-{n}", sender="x@example.org")))
    assert sorted(worked_out) == ["example-flood-0001", "like-1"]
    async with harness.db.begin() as c:
        body = await c.scalar(
            text("select body from alert_signature where alert_id = :id"), {"id": first.alert_id}
        )
    assert body is not None
    assert stored_signature.from_bytes(bytes(body)) is not None


def test_signature_round_trips(flood: Alert) -> None:
    for alert in (flood, with_area(flood, Area("x", geocodes=(NamedValue("a", "b"),)))):
        one = signature(alert)
        assert stored_signature.from_bytes(stored_signature.to_bytes(one)) == one
    assert stored_signature.from_bytes(b"{}") is None
    assert stored_signature.from_bytes(b"\xff") is None


async def test_large_document_does_not_block_the_loop(
    harness: DispatchHarness, flood: Alert
) -> None:
    """While one is read the event loop goes on: it turns many times in between."""
    points = tuple((54.5 + n % 2 / 10, 2.4 + n / 1e6) for n in range(size(4_000, 40_000)))
    area = Area("Lower Port", polygons=(Polygon((*points, points[0])),))
    submitting = asyncio.create_task(harness.submit(to_xml(with_area(flood, area))))
    turns = 0
    while not submitting.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await submitting).created
    assert turns > 20


def sends(name: str, sender: str) -> Principal:
    return Principal(f"key:{name}", rights=frozenset({"submit"}), senders=(sender,))


async def test_forbidden_document_is_not_processed(
    harness: DispatchHarness, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked_out(alert: Alert) -> None:
        raise AssertionError(f"{alert.identifier} was worked out")

    monkeypatch.setattr(submission, "to_json", worked_out)
    with pytest.raises(Forbidden, match="does not speak for the sender"):
        await harness.submit(to_xml(flood), principal=sends("other", "other@example.org"))


async def test_documents_of_one_key_do_not_block_another(
    harness: DispatchHarness, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key's documents are long in reading, until that of another key was accepted."""
    go_on, begun = Event(), Event()
    reading: list[str] = []
    read_alert = submitting.read_alert

    def read(data: bytes, *, max_bytes: int) -> Alert:
        alert = read_alert(data, max_bytes=max_bytes)
        if alert.sender == flood.sender:
            reading.append(alert.identifier)
            begun.set()
            assert go_on.wait(60)
        return alert

    monkeypatch.setattr(submitting, "read_alert", read)
    many = sends("many", flood.sender)
    waiting = [
        asyncio.create_task(
            harness.submit(to_xml(replace(flood, identifier=f"many-{n}")), principal=many)
        )
        for n in range(3)
    ]
    assert await asyncio.to_thread(begun.wait, 30)
    try:
        other = to_xml(replace(flood, identifier="one", sender="one@example.org"))
        mine = sends("one", "one@example.org")
        async with asyncio.timeout(60):
            assert (await harness.submit(other, principal=mine)).created
        assert reading == ["many-0"]
    finally:
        go_on.set()
    assert [(await task).created for task in waiting] == [True] * 3
    assert sorted(reading) == ["many-0", "many-1", "many-2"]
