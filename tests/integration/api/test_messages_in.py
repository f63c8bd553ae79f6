"""Text messages from citizens, as Twilio passes them on."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import urlencode

import pytest
from lxml import etree
from served import PUBLIC, Served
from sqlalchemy import func, insert, select, update
from twilio.request_validator import RequestValidator

from alerting.background import background_task
from alerting.channels.text.phrases import table
from alerting.cli.serve import _keep_stop_list
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint
from alerting.store.schema import address, citizen, inbound

PATH = "/webhooks/twilio/message"
NUMBER = "+447700900123"

WORDS = json.loads(
    resources.files("alerting.channels.text").joinpath("reply_words.json").read_text("utf-8")
)


async def say(served: Served, text: str, sid: str = "", **more: str) -> list[str]:
    """Post one message; returns what is answered."""
    say.count += 1  # type: ignore[attr-defined]
    form = {
        "MessageSid": sid or f"SM{say.count}",  # type: ignore[attr-defined]
        "From": NUMBER,
        "To": "+447700900000",
        "Body": text,
        **more,
    }
    validator = RequestValidator(served.runtime.twilio_tokens[0])
    headers = {
        "X-Twilio-Signature": validator.compute_signature(PUBLIC + PATH, form),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = await served.http.post(PATH, content=urlencode(form), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/xml")
    root = etree.fromstring(answer.content)
    assert root.tag == "Response"
    return [str(message.text) for message in root]


say.count = 0  # type: ignore[attr-defined]


@pytest.fixture
async def household(served: Served) -> Served:
    """Two citizens of one number, and one of another."""
    async with served.runtime.db.begin() as c:
        for ref, number in (("a", NUMBER), ("b", NUMBER), ("c", "+447700900124")):
            who = await c.scalar(
                insert(citizen).values(ref=ref, channels=["sms"]).returning(citizen.c.id)
            )
            await c.execute(insert(address).values(citizen_id=who, channel="sms", endpoint=number))
    return served


async def consenting(served: Served) -> int:
    async with served.runtime.db.begin() as c:
        return len((await c.execute(select(address.c.id).where(address.c.consent))).all())


async def test_stop_and_start_of_a_number(household: Served) -> None:
    assert await say(household, "Stop.") == [WORDS["en"]["stopped"]]
    assert await consenting(household) == 1
    assert await say(household, "ＳＴＡＲＴ!") == [WORDS["en"]["started"]]
    assert await consenting(household) == 3


@pytest.mark.parametrize("language", sorted(table()))
async def test_keywords_of_every_language(household: Served, language: str) -> None:
    words = WORDS[language]
    for stop in words["stop"]:
        for spelt in (stop, stop.upper(), f" {stop.title()}. "):
            answered = await say(household, spelt)
            assert await consenting(household) == 1, spelt
            assert answered in ([], [words["stopped"]]) or language != "en"
            await say(household, words["start"][0].upper())
            assert await consenting(household) == 3, words["start"][0]
    for word in words["help"]:
        await say(household, word)
    await say(household, words["stop"][0])
    for start in words["start"]:
        await say(household, f"“{start}”")
        assert await consenting(household) == 3, start
        await say(household, words["stop"][0])


async def test_reply_is_in_the_language_of_the_keyword(household: Served) -> None:
    assert await say(household, "arret") == [WORDS["fr"]["stopped"]]
    assert await say(household, "DÉMARRER") == [WORDS["fr"]["started"]]
    assert await say(household, "hilfe!") == [WORDS["de"]["helped"]]
    assert await say(household, "रोकें") == [WORDS["hi"]["stopped"]]


@pytest.mark.parametrize(
    "text",
    [
        "We have got to STOP this",
        "please stop the water",
        "STOP 12345",
        "1 dead",
        "I am not safe",
        "",
        " ",
        "🛑",
        "x" * 1600,
        "stop " * 300,
        "プ",
        "\u202e",
    ],
)
async def test_other_text_changes_nothing(household: Served, text: str) -> None:
    assert await say(household, text) == []
    assert await consenting(household) == 3
    await say(household, "stop")
    assert await say(household, text) == []
    assert await consenting(household) == 1


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("STOP", {}),
        ("unsubscribe ", {}),
        ("arrêt", {"OptOutType": "STOP"}),
        ("a word of the operator's own", {"OptOutType": "STOP"}),
    ],
)
async def test_keyword_answered_by_twilio_gets_no_reply(
    household: Served, text: str, more: dict[str, str]
) -> None:
    assert await say(household, text, **more) == []
    assert await consenting(household) == 1


async def test_help_changes_nothing_and_is_answered_once(household: Served) -> None:
    assert await say(household, "HELP", OptOutType="HELP") == []
    assert await say(household, "help") == []
    assert await say(household, "ayuda") == [WORDS["es"]["helped"]]
    assert await consenting(household) == 3


async def test_repeated_message_is_applied_once(household: Served) -> None:
    await say(household, "stopp", sid="SMone")
    await say(household, "start", sid="SMtwo")
    assert await say(household, "stopp", sid="SMone") == []
    assert await consenting(household) == 3


async def test_stop_of_unknown_number_is_stored(served: Served) -> None:
    await say(served, "stop")
    async with served.runtime.db.begin() as c:
        assert await suppressions.of_endpoint(c, Endpoint("sms", NUMBER)) is not None


async def test_start_promises_nothing_to_unused_number(served: Served) -> None:
    assert await say(served, "starten") == [WORDS["de"]["unregistered"]]
    async with served.runtime.db.begin() as c:
        who = await c.scalar(
            insert(citizen).values(ref="a", channels=["sms"]).returning(citizen.c.id)
        )
        values = {"citizen_id": who, "channel": "sms", "endpoint": NUMBER}
        await c.execute(insert(address).values(**values, consent=False))
    assert await say(served, "starten") == [WORDS["de"]["unregistered"]]
    async with served.runtime.db.begin() as c:
        await c.execute(address.update().values(consent=True))
    assert await say(served, "starten") == [WORDS["de"]["started"]]


def test_every_language_has_every_reply() -> None:
    answers = [words[said] for words in WORDS.values() for said in ("started", "unregistered")]
    assert all(answers)
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("sender", ["", "20457", "AUTHORITY", "whatsapp:+447700900123", "+0123"])
async def test_sender_that_is_no_number_changes_nothing(household: Served, sender: str) -> None:
    assert await say(household, "stopp", From=sender) == []
    assert await consenting(household) == 3


async def test_start_restores_dead_addresses(household: Served) -> None:
    async with household.runtime.db.begin() as c:
        await c.execute(address.update().values(suspended_reason="dead-address"))
    await say(household, "start")
    async with household.runtime.db.begin() as c:
        query = select(address.c.endpoint).where(address.c.suspended_reason.is_(None))
        assert list(await c.scalars(query)) == [NUMBER, NUMBER]


async def test_unsigned_message_is_refused(household: Served) -> None:
    form = {"MessageSid": "SM1", "From": NUMBER, "Body": "STOP"}
    for headers in ({}, {"X-Twilio-Signature": "AAAA"}):
        answer = await household.http.post(PATH, data=form, headers=headers)
        assert answer.status_code == 403
    assert (await household.http.get(PATH)).status_code == 405
    assert await consenting(household) == 3


async def test_scheduler_writes_the_stop_list(household: Served, tmp_path: Path) -> None:
    path = tmp_path / "stops.jsonl"
    async with background_task(_keep_stop_list(household.runtime, str(path))):
        await say(household, "stop")
        async with asyncio.timeout(60):
            # A file rings no bell.
            while not (path.exists() and path.read_bytes().endswith(b"\n")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    (line,) = map(json.loads, path.read_text(encoding="ascii").splitlines())
    assert (line["channel"], line["source"], line["lifted"]) == ("sms", "reply", False)


async def test_replayed_old_message_changes_nothing(household: Served) -> None:
    await say(household, "Start", sid="SMstart")
    assert await say(household, "Stop.", sid="SMstop") == [WORDS["en"]["stopped"]]
    async with household.runtime.db.begin() as c:
        await c.execute(update(inbound).values(received_at=func.now() - timedelta(days=4000)))
    # Whatever others send meanwhile.
    await say(household, "Hilfe!")
    assert await say(household, "Start", sid="SMstart") == []
    assert await consenting(household) == 1
    await say(household, "Start")
    assert await say(household, "Stop.", sid="SMstop") == []
    assert await consenting(household) == 3
