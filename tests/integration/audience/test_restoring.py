"""An address that is not used says why, and comes back by the hand of an operator."""

from __future__ import annotations

import pytest

from alerting.audience.register import read_row
from alerting.audience.restoring import restore, unused_because
from alerting.errors import Conflict, NotFound
from alerting.store.citizens import directory, suppressions
from alerting.store.citizens.import_citizens import merge
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import Database, raw

NUMBER = "+447700900981"


@pytest.fixture
async def people(db: Database) -> Database:
    line = {"ref": "a", "sms": NUMBER, "email": "a@example.org"}
    async with db.begin() as c:
        await merge(await raw(c), [read_row(line), read_row({"ref": "b", "sms": NUMBER})])
    return db


async def reasons(db: Database, ref: str) -> dict[str, list[str]]:
    async with db.begin() as c:
        return {a.channel: unused_because(a) for a in await directory.addresses_of(c, ref)}


async def back(
    db: Database, ref: str = "a", *, channel: str | None = None, asked: bool = False
) -> list[str]:
    async with db.begin() as c:
        found = await restore(c, ref, channel=channel, asked=asked, actor="test", why="phoned")
        return [a.channel for a in found]


async def test_restore_dead_address(people: Database) -> None:
    async with people.begin() as c:
        ids = [a.id for a in await directory.addresses_of(c, "a")]
        await directory.suspend(c, {"dead-address": ids})
    dead = ["The provider says this address does not exist."]
    assert await reasons(people, "a") == {"sms": dead, "email": dead}
    assert await back(people, channel="email") == ["email"]
    assert await reasons(people, "a") == {"sms": dead, "email": []}
    assert await back(people) == ["sms"]
    with pytest.raises(NotFound, match="No address of a is unsubscribed or suspended"):
        await back(people)


async def test_restore_number_opted_out_by_carrier_in_every_row(
    people: Database,
) -> None:
    async with people.begin() as c:
        (first, *_) = await directory.addresses_of(c, "b")
        await directory.suspend(c, {"opted-out": [first.id]})
    assert "The carrier says that its owner answered STOP" in (await reasons(people, "a"))["sms"][0]
    assert await back(people) == ["sms"]
    assert await reasons(people, "b") == {"sms": []}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Source.LINK, "Its owner left by the link in a message, on 20"),
        (Source.REPLY, "Its owner answered STOP, on 20"),
    ],
)
async def test_restore_own_opt_out_only_when_asked(
    people: Database, source: Source, sentence: str
) -> None:
    async with people.begin() as c:
        await suppressions.stop(c, [Endpoint("sms", NUMBER)], source, actor="citizen")
    assert sentence in (await reasons(people, "b"))["sms"][0]
    with pytest.raises(Conflict, match=r"sms \+44…81: Its owner .* give --asked"):
        await back(people)
    assert (await reasons(people, "b"))["sms"]
    assert await back(people, asked=True) == ["sms"]
    assert await reasons(people, "b") == {"sms": []}


async def test_restore_cannot_override_the_register(people: Database) -> None:
    line = {"ref": "b", "sms": NUMBER, "consent": "email", "verified": "email"}
    async with people.begin() as c:
        await merge(await raw(c), [read_row(line)])
    assert await reasons(people, "b") == {
        "sms": [
            "The register has no consent for it.",
            "The register says that it was never verified.",
        ]
    }
    with pytest.raises(NotFound):
        await back(people, "b", asked=True)
    with pytest.raises(NotFound, match="There is no citizen nobody"):
        await back(people, "nobody")
