"""Each provider's sender, limited to the channel's rate in the live policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from alerting.channels import registry
from alerting.channels.base import THROTTLED, Outcome, Outgoing
from alerting.channels.spec import Provider
from alerting.domain.lane import Lane
from alerting.observe.metrics import RATE_LIMIT_SECONDS
from alerting.providers.rate.contract import Rate
from alerting.providers.rate.limiter import RateLimiter

#: A window spans no more than this at the configured rate, and where a provider is as fast as
#: before, so that a cancel stops the last call within a second and no lease expires while a slow
#: provider is waited for.
WINDOW_S = 0.5


class SenderRates:
    """Grants permits at providers by their configured rates. Lives on one event loop.

    rate_of: the rate of a channel's senders in the live policy. patience_s: the longest wait for a
    permit, well below a lease.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        rate_of: Callable[[str], Awaitable[Rate]],
        *,
        patience_s: float,
    ) -> None:
        self._limiter = limiter
        self._patience_s = patience_s
        self.rate_of = rate_of

    @staticmethod
    def window(rate: Rate, most: int) -> int:
        """How many sends may be open at once."""
        return most if rate.per_second <= 0 else max(1, min(most, int(rate.per_second * WINDOW_S)))

    async def acquire(
        self, provider: Provider, message: Outgoing, lane: Lane, tenant: str, rate: Rate
    ) -> bool:
        """Return when this message may go to this provider; False when no permit came in time."""
        if rate.per_second <= 0:
            return True
        cost = registry.spec(provider.channel.name).cost(message.rendering)
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._limiter.acquire(_sender(provider, lane), lane, tenant, cost, rate)
        except TimeoutError:
            return False
        finally:
            waited_s = time.monotonic() - begun_s
            RATE_LIMIT_SECONDS.add(waited_s, provider.channel.name, lane.value)
        return True

    async def report(self, provider: Provider, lane: Lane, rate: Rate, outcome: Outcome) -> None:
        """Report how a call with a permit ended: throttled by the provider, or not."""
        if rate.per_second > 0:
            await self._limiter.report(
                _sender(provider, lane),
                rate,
                throttled=outcome.error is THROTTLED,
                retry_after_s=outcome.retry_after_s,
            )


def _sender(provider: Provider, lane: Lane) -> str:
    """A lane may have a sender of its own, with the whole rate to itself."""
    return f"{provider.name}:{lane.value}" if lane in provider.own_lanes else provider.name
