"""The last wall: nothing of a drill leaves through a channel without its pass and its word.

It stands around every channel there is (`registry.build`), so that no adapter can forget it, and
trusts nothing that was decided before.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import lru_cache
from typing import Any

from alerting.channels.base import DRILL_REFUSED, CanLookUp, Channel, Outcome, Outgoing
from alerting.channels.text.content import leads
from alerting.channels.text.phrases import table
from alerting.channels.text.texts import fold
from alerting.domain import drill_pass
from alerting.domain.lane import Lane
from alerting.domain.segments import plain

#: The provider's code in the ledger, where there was no provider: why a drill was refused.
NO_PASS = "no-pass"  # noqa: S105 - a word for the ledger
NO_WORD = "no-drill-word"

#: Hears of everything that is refused: the channel's name and the code.
Refused = Callable[[str, str], None]


def walled(channel: Channel, key: bytes, refused: Refused) -> Channel:
    """The same channel, which takes a drill only with a pass that was made with `key` for its
    endpoint, and only where subject or text begin with the word for exercise or test.

    A message of the drill lane counts as a drill whatever it says of itself.
    """
    around = _WalledLookUp if isinstance(channel, CanLookUp) else _Walled
    return around(channel, key, refused)


class _Walled:
    def __init__(self, channel: Any, key: bytes, refused: Refused) -> None:
        self.name: str = channel.name
        self.concurrency: int = channel.concurrency
        self.can_be_silent: bool = channel.can_be_silent
        self._channel = channel
        self._key = key
        self._refused = refused

    async def open(self) -> None:
        await self._channel.open()

    async def close(self) -> None:
        await self._channel.close()

    def send(self, message: Outgoing) -> Coroutine[Any, Any, Outcome]:
        # No coroutine of its own: all that is Actual passes here.
        code = self._objection(message)
        if code:
            return self._refuse(message, code)
        found: Coroutine[Any, Any, Outcome] = self._channel.send(message)
        return found

    def _objection(self, message: Outgoing) -> str:
        if not message.drill and message.lane is not Lane.DRILL:
            return ""
        if not drill_pass.fits(self._key, self.name, message.endpoint, message.drill_pass):
            return NO_PASS
        text = message.rendering.subject or message.rendering.text
        return "" if any(leads(word, text) for word in _words()) else NO_WORD

    async def _refuse(self, message: Outgoing, code: str) -> Outcome:
        self._refused(self.name, code)
        return Outcome(message.delivery_id, DRILL_REFUSED, provider_code=code, called=False)


class _WalledLookUp(_Walled):
    async def look_up(self, message: Outgoing, *, since: datetime) -> Outcome | None:
        found: Outcome | None = await self._channel.look_up(message, since=since)
        return found


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    """The words for exercise and test in every language, also as an SMS may have to spell them."""
    words = [word for p in table().values() for word in (p.exercise, p.test)]
    return tuple({form for word in words for form in (word, plain(word), fold(word))})
