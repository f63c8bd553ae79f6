"""The field's inputs on alerts of several infos: who is told what of them, and how loudly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import timeshift
from dispatch_harness import DispatchHarness, Recorder
from field import Field
from labour import idle

from alerting.cap import read
from alerting.channels.base import Outgoing
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.domain.lane import Lane
from alerting.settings import Settings
from alerting.store.db import Database


@pytest.fixture
async def inputs(corpus: Path, emptied: tuple[str, tuple[str, ...]]) -> AsyncIterator[Field]:
    url, tables = emptied
    harness = DispatchHarness(
        Database(url),
        ManualClock(datetime.fromisoformat("2026-01-01T00:00:00+00:00")),
        WorkNotifier("redis://127.0.0.1:9/0"),
        Settings(sweep_s=0.001, in_doubt_wait_s=0),
        {"sms": Recorder("sms"), "email": Recorder("email")},
        [],
    )
    async with harness.db.begin() as connection:
        await timeshift.empty(connection, tables)
    yield Field(harness, corpus / "field")
    await harness.close()
    await harness.db.close()


async def send(inputs: Field, document: str, *, late: timedelta = timedelta(0)) -> None:
    """Submit it so long after it was sent, and let the workers run until they are idle."""
    await inputs.at(read(document.encode()).alerts[0].sent + late)
    await inputs.harness.submit(document.encode(), now=False)
    await idle(inputs.harness)


def got(inputs: Field, ref: str) -> list[Outgoing]:
    return [m for m in inputs.harness.sent if inputs.numbers.get(m.endpoint) == ref]


def all_in(text: str, *words: str) -> bool:
    return all(word in text for word in words)


@pytest.mark.parametrize(
    ("name", "ref", "words"),
    [
        ("a-two-hazards-same-severity", "5A", ("Hurricane winds: stay inside", "Storm surge: leave",
                                              "Stay inside.", "Go upstairs.")),
        ("b-two-hazards-other-severity", "5B", ("Heavy snow", "Boil tap water", "Boil water.")),
        ("d-translation-with-unknown-severity", "5D", ("Gas leak",)),
        ("e-translation-expired", "5E", ("Gas leak",)),
    ],
)  # fmt: skip
async def test_each_danger_in_force_is_shown(
    inputs: Field, name: str, ref: str, words: tuple[str, ...]
) -> None:
    await inputs.open("several-infos")
    await send(inputs, inputs.text(name))
    (message,) = got(inputs, ref)
    assert all_in(message.rendering.text, *words)


async def test_expired_info_gives_way_to_one_in_force(inputs: Field) -> None:
    await inputs.open("several-infos")
    late = timedelta(hours=1, minutes=5)
    await send(inputs, inputs.text("c-graver-info-already-expired"), late=late)
    (message,) = got(inputs, "5C")
    assert "Orange thunderstorm from now on" in message.rendering.text
    assert "Red" not in message.rendering.text


async def test_period_in_force_is_shown(inputs: Field) -> None:
    await inputs.open("two-periods")
    await send(inputs, inputs.text("alert"), late=timedelta(hours=0))
    (message,) = got(inputs, "P-1")
    assert "Storm, second part" in message.rendering.text


async def test_update_says_one_of_two_dangers_is_over(inputs: Field) -> None:
    await inputs.open("several-infos")
    first = inputs.text("a-two-hazards-same-severity")
    await send(inputs, first)
    alert = read(first.encode()).alerts[0]
    sent = alert.sent + timedelta(minutes=20)
    update = (
        first.replace("<identifier>multi-a<", "<identifier>multi-a2<")
        .replace("<msgType>Alert<", "<msgType>Update<")
        .replace(f"<sent>{alert.sent:%Y-%m-%dT%H:%M:%S}", f"<sent>{sent:%Y-%m-%dT%H:%M:%S}")
        .replace("<info>", "<references>centre@example.org,multi-a,"
                 f"{alert.sent:%Y-%m-%dT%H:%M:%S}-00:00</references><info>", 1)
        .replace("<responseType>Evacuate</responseType><urgency>Immediate",
                 "<responseType>AllClear</responseType><urgency>Past")
        .replace("Storm surge: leave the ground floor", "The storm surge is over")
        .replace("Go upstairs.", "You may go downstairs.")
    )  # fmt: skip
    await send(inputs, update)
    _, last = got(inputs, "5A")
    text = last.rendering.text
    assert all_in(text, "Hurricane winds: stay inside", "The storm surge is over")
    assert last.lane is Lane.SEVERE


async def test_minor_area_of_extreme_alert_is_minor(inputs: Field) -> None:
    await inputs.open("minor-corner-of-extreme")
    await send(inputs, inputs.text("alert"))
    core = [m for m in inputs.harness.sent if m.endpoint in {"+447700900301", "p1@example.org"}]
    assert sorted((m.rendering.channel, m.lane) for m in core) == [
        ("email", Lane.EXTREME),
        ("sms", Lane.EXTREME),
    ]
    corner = [m for m in inputs.harness.sent if m not in core]
    assert {m.lane for m in corner} <= {Lane.ROUTINE}
    assert {m.rendering.channel for m in corner} <= {"sms"}
    async with inputs.harness.db.begin() as connection:
        rows = await connection.exec_driver_sql(
            """select d.channel, o.lane from delivery d join outbox o on o.id = d.id / 1024
               join citizen c on c.id = d.citizen_id where c.ref = 'P-2'"""
        )
        assert [tuple(row) for row in rows] == [("sms", "routine")]
