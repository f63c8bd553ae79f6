"""Rests: this process's breakers hear what others found, and tell what they find themselves.

Every breaker decides alone and at once; this only spares the other workers the calls that would
teach them the same. Without Redis each learns for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from alerting.background import during
from alerting.errors import Unavailable
from alerting.observe.logs import logger
from alerting.throttle.breaker import Breaker
from alerting.throttle.rests import Rests

log = logger(__name__)

#: How soon others hear of it, and how soon Redis is asked again after it gave no answer.
EVERY_S = 0.25
_AGAIN_S = 1.0


class SharedRests:
    """For the providers of one process. Lives on one event loop; never raises.

    breakers: by the provider's name.
    """

    def __init__(self, rests: Rests, breakers: Mapping[str, Breaker]) -> None:
        self._rests = rests
        self._breakers = breakers
        self._found: set[str] = set()
        self._heard: set[str] = set()
        self._wake = asyncio.Event()

    def found(self, provider: str) -> None:
        """This process opened a provider's breaker, or closed it."""
        self._found.add(provider)
        self._wake.set()

    async def exchange(self) -> None:
        """Tell what was found and hear what others did. Raises Unavailable."""
        for name in list(self._found):
            # As it is now: Redis may have been away since.
            await self._rests.tell(name, self._breakers[name].wait_s())
            self._found.discard(name)
        told = await self._rests.told(list(self._breakers))
        for name, breaker in self._breakers.items():
            if name in told:
                self._heard.add(name)
                breaker.rest(told[name])
            elif name in self._heard:
                # Whoever found it ill has found it well, or its rest is over: see for ourselves.
                self._heard.discard(name)
                breaker.try_now()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Exchange again and again while the block lasts."""
        async with during(self._forever()):
            yield

    async def _forever(self) -> None:
        while True:
            pause_s = EVERY_S
            try:
                await self.exchange()
            except Unavailable:
                pause_s = _AGAIN_S
            except Exception:
                log.exception("rests.not_shared")
                pause_s = _AGAIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            self._wake.clear()
