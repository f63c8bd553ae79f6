"""Pacing: each send waits for its turn at the provider, by the rate all workers share."""

from __future__ import annotations

import asyncio

from alerting.channels.base import THROTTLED, Outcome, Outgoing
from alerting.channels.registry import Provider
from alerting.dispatch.judging.policies import PolicyCache
from alerting.domain.lane import Lane
from alerting.domain.segments import measure
from alerting.settings import Settings
from alerting.throttle.pace import Rate
from alerting.throttle.pace.pacer import Pacer

#: A window spans no more than this at the configured rate, and where a provider is as quick as it
#: was, so that a cancel stops the last call within a second and no lease runs out while a slow
#: provider is waited for.
WINDOW_S = 0.5


class Pacing:
    """Hands out turns at providers by their configured rates. Lives on one event loop."""

    def __init__(self, pacer: Pacer, policies: PolicyCache, settings: Settings) -> None:
        self._pacer = pacer
        self._policies = policies
        self._patience_s = settings.lease_s / 3

    async def rate(self, channel: str) -> Rate:
        """What the live policy lets a channel's sender do."""
        pace = getattr((await self._policies.in_force()).live.pace, channel, None)
        if pace is None:
            return Rate(0)
        return Rate(pace.per_second, pace.horizon_s, pace.severe_share)

    @staticmethod
    def window(rate: Rate, most: int) -> int:
        """How many sends may be open at once."""
        return most if rate.per_second <= 0 else max(1, min(most, int(rate.per_second * WINDOW_S)))

    async def turn(
        self, provider: Provider, message: Outgoing, lane: Lane, tenant: str, rate: Rate
    ) -> bool:
        """Return when it is this message's turn at this provider; False when none came in time."""
        if rate.per_second <= 0:
            return True
        cost = measure(message.rendering.text).count if provider.channel.name == "sms" else 1
        try:
            async with asyncio.timeout(self._patience_s):
                await self._pacer.turn(_sender(provider, lane), lane, tenant, cost, rate)
        except TimeoutError:
            return False
        return True

    async def said(self, provider: Provider, lane: Lane, rate: Rate, outcome: Outcome) -> None:
        """Note how a call ended that had its turn: too fast for the provider, or not."""
        if rate.per_second > 0:
            await self._pacer.said(
                _sender(provider, lane),
                rate,
                throttled=outcome.error is THROTTLED,
                retry_after_s=outcome.retry_after_s,
            )


def _sender(provider: Provider, lane: Lane) -> str:
    """Extreme may have a sender of its own, which then has the rate to itself."""
    own = lane is Lane.EXTREME and provider.own_extreme
    return f"{provider.name}:extreme" if own else provider.name
