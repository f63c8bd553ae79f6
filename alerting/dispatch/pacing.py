"""Pacing: each send waits for its turn at the provider, by the rate all workers share."""

from __future__ import annotations

import asyncio

from alerting.channels.base import AMBIGUOUS, THROTTLED, Channel, Outcome, Outgoing
from alerting.channels.registry import Provider
from alerting.dispatch.policies import PolicyCache
from alerting.domain.lane import Lane
from alerting.domain.segments import measure
from alerting.settings import Settings
from alerting.throttle.pace import Rate
from alerting.throttle.pace.pacer import Pacer

#: A window spans no more than this at the configured rate, so that a cancel stops the last call
#: within a second and no lease runs out while a slow provider is waited for.
WINDOW_S = 0.5

#: The code in the ledger of what got no turn in time; no provider was called for it.
NO_TURN = "no-turn"


#: The code of what the provider did not answer while another one is there.
HANGS = "hangs"


class Pacing:
    """Sends through providers at their configured rates. Lives on one event loop."""

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

    async def send(
        self,
        provider: Provider,
        message: Outgoing,
        lane: Lane,
        tenant: str,
        rate: Rate,
        *,
        hang_s: float | None = None,
    ) -> Outcome:
        """Send when it is this message's turn at this provider.

        hang_s: an answer is waited for no longer; then nobody knows whether the message was taken.

        What gets no turn in time was not sent: it comes back as throttled, to be tried again.
        """
        channel = provider.channel
        if rate.per_second <= 0:
            return await _answer(channel, message, hang_s)
        sender = _sender(provider, lane)
        cost = measure(message.rendering.text).count if channel.name == "sms" else 1
        try:
            async with asyncio.timeout(self._patience_s):
                await self._pacer.turn(sender, lane, tenant, cost, rate)
        except TimeoutError:
            return Outcome(message.delivery_id, THROTTLED, provider_code=NO_TURN, called=False)
        outcome = await _answer(channel, message, hang_s)
        await self._pacer.said(
            sender,
            rate,
            throttled=outcome.error is THROTTLED,
            retry_after_s=outcome.retry_after_s,
        )
        return outcome


async def _answer(channel: Channel, message: Outgoing, hang_s: float | None) -> Outcome:
    try:
        async with asyncio.timeout(hang_s):
            return await channel.send(message)
    except TimeoutError:
        return Outcome(message.delivery_id, AMBIGUOUS, provider_code=HANGS)


def _sender(provider: Provider, lane: Lane) -> str:
    """Extreme may have a sender of its own, which then has the rate to itself."""
    own = lane is Lane.EXTREME and provider.own_extreme
    return f"{provider.name}:extreme" if own else provider.name
