"""One mail said to a relay that answers as a test wants, byte by byte: who decides, what is left
behind, and that the text never goes where it could be taken twice."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_in_memory import DROP, SILENCE, Relay

from alerting.channels.email.smtp_conversation import Answer, Offers, deliver
from alerting.channels.email.smtp_replies import Stage
from alerting.channels.email.smtp_wire import Reply, Wire

MAIL = b"To: citizen@example.org\r\n\r\nWater.\r\n"
TOGETHER, ONE_BY_ONE = Offers(pipelining=True), Offers()
ENVELOPE = [b"MAIL FROM:<b@example.org>\r\n", b"RCPT TO:<citizen@example.org>\r\n", b"DATA\r\n"]
TEXT = MAIL + b".\r\n"
EMPTY = b".\r\nRSET\r\n"
TAKEN = Answer(Stage.BODY, Reply(250, "2.0.0 Ok: queued as 4XyZ0123"))


def over(relay: Relay, *, timeout_s: float = 60.0) -> Wire:
    return Wire(relay, timeout_s=timeout_s)


async def say(wire: Wire, offers: Offers = TOGETHER) -> Answer:
    async with asyncio.timeout(120):
        return await deliver(
            wire, offers, sender="b@example.org", to="citizen@example.org", mail=MAIL
        )


async def test_pipelined_envelope_precedes_text() -> None:
    relay = Relay()
    wire = over(relay)
    assert [await say(wire), await say(wire)] == [TAKEN, TAKEN]
    assert relay.heard == [b"".join(ENVELOPE), TEXT] * 2


async def test_without_pipelining_each_command_waits() -> None:
    relay = Relay()
    wire = over(relay)
    assert [await say(wire, ONE_BY_ONE), await say(wire, ONE_BY_ONE)] == [TAKEN, TAKEN]
    assert relay.heard == [*ENVELOPE, TEXT] * 2


@pytest.mark.parametrize(
    ("offers", "to", "expected"),
    [
        (Offers(size=True), "c@example.org", b"MAIL FROM:<b@example.org> SIZE=35\r\n"),
        (Offers(smtputf8=True), "c@example.org", b"MAIL FROM:<b@example.org>\r\n"),
        (
            Offers(size=True, smtputf8=True),
            "ц@example.org",
            b"MAIL FROM:<b@example.org> SIZE=35 SMTPUTF8\r\n",
        ),
    ],
)
async def test_offered_extensions_are_used(offers: Offers, to: str, expected: bytes) -> None:
    relay = Relay()
    await deliver(over(relay), offers, sender="b@example.org", to=to, mail=MAIL)
    assert relay.heard[:2] == [expected, f"RCPT TO:<{to}>\r\n".encode()]


NO, LATER, WRONG_ORDER = b"550 5.1.1 No such user", b"450 4.2.1 Busy", b"503 5.5.1 Order"


@pytest.mark.parametrize("offers", [TOGETHER, ONE_BY_ONE])
@pytest.mark.parametrize("no", [NO, LATER])
@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA])
async def test_first_refusal_decides_and_next_mail_is_sent(
    stage: Stage, no: bytes, offers: Offers
) -> None:
    # As servers do: what follows a refusal is out of order.
    after = {Stage.MAIL: ["rcpt", "data"], Stage.RCPT: ["data"]}.get(stage, [])
    said = {verb: [WRONG_ORDER] for verb in after} if offers.pipelining else {}
    relay = Relay(**{**said, stage.value: [no]})
    wire = over(relay)
    assert await say(wire, offers) == Answer(stage, Reply(int(no[:3]), no[4:].decode()))
    assert relay.heard[-1] == b"RSET\r\n"
    assert await say(wire, offers) == TAKEN
    assert relay.taken == [MAIL]


@pytest.mark.parametrize("last", [b"554 5.5.1 No valid recipients", b"503 x", b"250 2.0.0 Ok"])
@pytest.mark.parametrize("mail", [b"250 Ok", b"451 4.3.0 Later"])
async def test_data_accepted_without_recipient_is_sent_empty(mail: bytes, last: bytes) -> None:
    relay = Relay(mail=[mail], rcpt=[NO], text=[last])
    wire = over(relay)
    refused = await say(wire)
    assert refused.stage is (Stage.RCPT if mail.startswith(b"250") else Stage.MAIL)
    assert refused.reply is not None
    assert refused.reply.code == (550 if mail.startswith(b"250") else 451)
    assert relay.heard == [b"".join(ENVELOPE), EMPTY]
    assert await say(wire) == TAKEN
    assert [text for text in relay.taken if text] == [MAIL]


async def test_recipient_accepted_without_sender_closes_connection() -> None:
    relay = Relay(mail=[LATER])
    wire = over(relay)
    assert (await say(wire)).stage is Stage.MAIL
    assert not wire.open
    assert relay.heard == [b"".join(ENVELOPE)]


@pytest.mark.parametrize("end", [DROP, b"421 4.3.2 Shutting down", b"what?"])
@pytest.mark.parametrize("offers", [TOGETHER, ONE_BY_ONE])
@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY])
async def test_connection_lost_at_any_reply_is_unheard(
    stage: Stage, offers: Offers, end: bytes
) -> None:
    relay = Relay(**{"text" if stage is Stage.BODY else stage.value: [end]})
    wire = over(relay)
    reply = Reply(421, "4.3.2 Shutting down") if end.startswith(b"421") else None
    assert await say(wire, offers) == Answer(stage, reply)
    assert not wire.open
    said = TEXT in relay.heard
    assert said is (stage is Stage.BODY)
    heard = len(relay.heard)
    # Nothing is said any more, and the next mail may safely go another way.
    assert (await say(wire, offers)).unheard
    assert len(relay.heard) == heard


@pytest.mark.parametrize("end", [DROP, b"421 4.3.2 Shutting down", b"250 Ok", b"what?"])
async def test_refusal_stands_after_connection_loss(end: bytes) -> None:
    relay = Relay(rcpt=[NO], data=[end])
    wire = over(relay)
    assert await say(wire) == Answer(Stage.RCPT, Reply(550, "5.1.1 No such user"))
    assert not wire.open
    assert relay.heard == [b"".join(ENVELOPE)]


@pytest.mark.parametrize(
    "answers",
    [
        {"rset": [DROP]},
        {"rset": [b"502 What?"]},
        {"data": [b"354 Go on"], "text": [DROP]},
        {"data": [b"354 Go on"], "text": [b"421 Enough"]},
        {"data": [b"354 Go on"], "rset": [b"500 What?"]},
    ],
)
async def test_connection_with_stale_envelope_is_closed(
    answers: dict[str, list[bytes]],
) -> None:
    wire = over(Relay(**{"rcpt": [NO], "data": [WRONG_ORDER]} | answers))
    assert (await say(wire)).stage is Stage.RCPT
    assert not wire.open


@pytest.mark.parametrize(
    "answers",
    [
        {"mail": [b"250 Ok\n250 Ok"]},  # one reply more than was asked for
        {"mail": [b"354 Go on"]},
        {"rcpt": [b"354 Go on"]},
        {"data": [b"250 Ok"]},
        {"data": [b"354 Go on\n250 Ok"]},
    ],
)
async def test_replies_out_of_order_close_before_any_text(
    answers: dict[str, list[bytes]],
) -> None:
    relay = Relay(**answers)
    wire = over(relay)
    answer = await say(wire)
    assert answer.stage is not Stage.BODY
    assert not wire.open
    assert relay.heard == [b"".join(ENVELOPE)]
    assert relay.taken == []


async def test_goodbye_after_last_reply_changes_nothing() -> None:
    wire = over(Relay(text=[b"250 2.0.0 Ok\n421 4.7.0 Enough mails"]))
    assert await say(wire) == Answer(Stage.BODY, Reply(250, "2.0.0 Ok"))
    assert not wire.open


async def test_close_after_354_sends_no_text() -> None:
    relay = Relay(data=[b"354 Go on\n421 4.3.2 Shutting down"])
    assert await say(over(relay)) == Answer(Stage.DATA, None)
    assert relay.heard == [b"".join(ENVELOPE)]


@pytest.mark.parametrize("silent", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY])
async def test_timeout_ends_at_its_step(silent: Stage) -> None:
    relay = Relay(**{"text" if silent is Stage.BODY else silent.value: [SILENCE]})
    relay.silence_s = 60
    wire = over(relay)
    assert await say(wire) == Answer(silent, None)
    assert not wire.open


answers = st.sampled_from([None, NO, LATER, b"550-5.1.1 No\n550-such\n550 user", b"421 Bye", DROP])
yes = st.sampled_from([None, b"250-2.1.0 Ok\n250 indeed", b"250", b"250-\n250 "])


@given(
    cuts=st.lists(st.integers(1, 60), max_size=40),
    mail=yes | answers,
    rcpt=yes | answers,
    data=st.sampled_from([None, b"354-Go\n354 on"]) | answers,
    text=yes | answers,
)
async def test_fragmented_replies_change_nothing(
    cuts: list[int],
    mail: bytes | None,
    rcpt: bytes | None,
    data: bytes | None,
    text: bytes | None,
) -> None:
    said = {"mail": mail, "rcpt": rcpt, "data": data, "text": text}
    script = {verb: [answer] for verb, answer in said.items() if answer is not None}
    whole, torn = Relay(**script), Relay(cuts, **script)
    wires = over(whole), over(torn)
    first, second = await say(wires[0]), await say(wires[1])
    assert first == second
    assert wires[0].open == wires[1].open
    assert whole.heard == torn.heard
    assert whole.taken == torn.taken
    if wires[1].open:  # what is left of the script is an answer to a text
        assert (await say(wires[1])).stage is Stage.BODY
