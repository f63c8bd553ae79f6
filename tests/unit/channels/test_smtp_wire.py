"""Whole replies from any pieces, and a connection that is closed rather than misread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_in_memory import SILENCE, Relay

from alerting.channels.email.smtp_wire import Reply, Wire, take_reply

THREE = b"MAIL\r\nRCPT\r\nDATA\r\n"


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"250 2.1.0 Ok\r\n", Reply(250, "2.1.0 Ok")),
        (b"250 Ok\n", Reply(250, "Ok")),
        (b"250\r\n", Reply(250, "")),
        (b"250-one\r\n250-\r\n250 three\r\n", Reply(250, "one\n\nthree")),
        (b"550-5.1.1 No\r\n550 such user\r\n", Reply(550, "5.1.1 No\nsuch user")),
        (b"250 \xff\r\n", Reply(250, "\udcff")),
    ],
)
def test_take_reply_reads_server_replies(said: bytes, reply: Reply) -> None:
    for whole in range(len(said)):
        assert take_reply(bytearray(said[:whole])) is None
    buffer = bytearray(said + b"354 next")
    assert take_reply(buffer) == reply
    assert buffer == b"354 next"


@pytest.mark.parametrize("said", [b"\r\n", b"25\r\n", b"ok\r\n", b"2 50 ok\r\n", b"250-a\r\nb\r\n"])
def test_take_reply_refuses_bad_replies(said: bytes) -> None:
    with pytest.raises(ValueError, match="three digits"):
        take_reply(bytearray(said))


@given(cuts=st.lists(st.integers(1, 20), max_size=60))
async def test_take_reply_accepts_any_fragments(cuts: list[int]) -> None:
    relay = Relay(cuts, rcpt=[b"550-5.1.1 No\n550 such user"])
    replies = await Wire(relay, timeout_s=60).ask(THREE, 3)
    assert [r.code for r in replies] == [250, 550, 354]
    assert replies[1].text == "5.1.1 No\nsuch user"


async def test_unsolicited_reply_closes() -> None:
    relay = Relay()
    wire = Wire(relay, timeout_s=60)
    assert await wire.ask(b"RSET\r\n") == [Reply(250, "2.0.0 Ok")]
    wire.data_received(b"421 4.4.2 Idle for too long\r\n")
    assert not wire.open
    assert await wire.ask(b"RSET\r\n") == []
    assert relay.heard == [b"RSET\r\n"]


@pytest.mark.parametrize("endless", [b"250 " + b"x" * 40_000, b"250-x\n" * 10_000 + b"250 x"])
async def test_endless_reply_closes(endless: bytes) -> None:
    relay = Relay([1000] * 100, rset=[endless])
    wire = Wire(relay, timeout_s=60)
    assert await wire.ask(b"RSET\r\n") == []
    assert not wire.open


class Ahead(asyncio.SelectorEventLoop):
    """A loop whose clock a test moves."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def in_moved_time(test: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=Ahead) as runner:
        runner.run(test)


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def test_each_reply_has_its_own_timeout() -> None:
    async def slow() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Ahead)
        relay = Relay(mail=[SILENCE])
        wire = Wire(relay, timeout_s=10)
        asking = asyncio.create_task(wire.ask(THREE, 3))
        for reply in (b"250 Ok\r\n", b"250 Ok\r\n"):
            await settle()
            loop.ahead += 9
            await settle()
            wire.data_received(reply)
        loop.ahead += 9
        await settle()
        assert wire.open
        loop.ahead += 2
        assert await asking == [Reply(250, "Ok"), Reply(250, "Ok")]
        assert not wire.open

    in_moved_time(slow())


def test_idle_connection_may_be_silent() -> None:
    async def idle() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Ahead)
        relay = Relay(rset=[b"250 Ok", b"250 Ok", SILENCE])
        wire = Wire(relay, timeout_s=10)
        for _ in range(2):
            assert await wire.ask(b"RSET\r\n") == [Reply(250, "Ok")]
            loop.ahead += 100
            await settle()
            assert wire.open
        asking = asyncio.create_task(wire.ask(b"RSET\r\n"))
        await settle()
        assert not asking.done()
        loop.ahead += 11
        assert await asking == []

    in_moved_time(idle())
