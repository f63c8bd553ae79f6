"""One mail on an open connection: MAIL, RCPT and DATA, then the text.

Where the relay offers PIPELINING (RFC 2920) the three go in one flight and a mail costs two round
trips instead of four. The text never goes along, nor does the next mail's envelope with it: what
is in doubt when a connection breaks is one mail, from its first byte of text to its reply.
"""

from __future__ import annotations

from dataclasses import dataclass

from alerting.channels.email.smtp_replies import Stage
from alerting.channels.email.smtp_wire import CLOSING, Reply, Wire


@dataclass(frozen=True, slots=True)
class Offers:
    """What the relay can, by its last EHLO (after STARTTLS, the second: RFC 3207 §4.2)."""

    pipelining: bool = False
    size: bool = False
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """How far a mail came, and what was said there. No `reply`: the connection ended instead.

    Taken only where `stage` is `BODY`; before that the server has no text to deliver.
    """

    stage: Stage
    reply: Reply | None

    @property
    def unheard(self) -> bool:
        """The connection was over before the server said anything of this mail."""
        return self.stage is Stage.MAIL and (self.reply is None or self.reply.code == CLOSING)


_ENVELOPE = (Stage.MAIL, Stage.RCPT, Stage.DATA)
# 251: it will forward. DATA answered 250 is as wrong as MAIL answered 354.
_YES = ((250,), (250, 251), (354,))
_START_INPUT = 354
_DONE = 250
_END = b".\r\n"
_RESET = b"RSET\r\n"


async def deliver(wire: Wire, offers: Offers, *, sender: str, to: str, mail: bytes) -> Answer:
    """Say one mail; the answer that decided on it: the first refusal, else that to the text.

    sender, to: bare addresses that can end no command, as `mailbox` checks; one that is not ASCII
    only where the relay offers SMTPUTF8. mail: whole lines ended by CRLF, none of which begins
    with a dot, so that RFC 5321 §4.5.2 leaves nothing to double.

    Afterwards the connection awaits the next mail, or is closed. Never raises for a server.
    """
    said = _envelope(offers, sender, to, len(mail))
    if offers.pipelining:
        # DATA ends the group: a server may flush what comes behind it (RFC 2920 §3.1).
        replies = await wire.ask(b"".join(said), len(said))
    else:
        replies = await _one_by_one(wire, said)
    if (decided := _first_no(replies)) is not None:
        await _forget(wire, replies)
        return decided
    if not wire.open:  # closed right behind its 354
        return Answer(Stage.DATA, None)
    last = await wire.ask(mail + _END)
    return Answer(Stage.BODY, last[0] if last else None)


def _envelope(offers: Offers, sender: str, to: str, size: int) -> tuple[bytes, bytes, bytes]:
    declared = f" SIZE={size}" if offers.size else ""
    utf8 = "" if to.isascii() else " SMTPUTF8"
    return (
        f"MAIL FROM:<{sender}>{declared}{utf8}\r\n".encode(),
        f"RCPT TO:<{to}>\r\n".encode(),
        b"DATA\r\n",
    )


async def _one_by_one(wire: Wire, said: tuple[bytes, ...]) -> list[Reply]:
    """Each command once the one before has its yes."""
    replies: list[Reply] = []
    for command, yes in zip(said, _YES, strict=True):
        got = await wire.ask(command)
        replies += got
        if not got or got[0].code not in yes:
            break
    return replies


def _first_no(replies: list[Reply]) -> Answer | None:
    """The first of the envelope's answers that was not a yes; one that did not come is none."""
    for reply, stage, yes in zip(replies, _ENVELOPE, _YES, strict=False):
        if reply.code not in yes:
            return Answer(stage, reply)
    return None if len(replies) == len(_ENVELOPE) else Answer(_ENVELOPE[len(replies)], None)


async def _forget(wire: Wire, replies: list[Reply]) -> None:
    """Leave nothing of a refused envelope behind; close a connection that cannot be sure of it.

    Some servers ask for a text though they took no recipient. It must then be sent, empty
    (RFC 2920 §3.1): anything else would be read as text. What they answer to that decides
    nothing, for the mail is refused already and no byte of it was said.
    """
    if not wire.open:
        return
    wrong = [r.code // 100 not in (4, 5) for r in _refusals(replies)]
    asked = replies[-1].code == _START_INPUT
    # Neither yes nor no is the reply to something else: whether it awaits a text is unknown.
    # A recipient taken without a sender would be sent the empty mail.
    if any(wrong) or (asked and replies[1].code in _YES[1]):
        wire.close()
        return
    answers = await wire.ask(_END + _RESET if asked else _RESET, 2 if asked else 1)
    if not answers or answers[-1].code != _DONE:
        wire.close()


def _refusals(replies: list[Reply]) -> list[Reply]:
    return [r for r, yes in zip(replies, _YES, strict=False) if r.code not in yes]
