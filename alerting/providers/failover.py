"""Failover: which provider of a channel is called, within its rate and while its breaker lets it.

Another provider is tried only when the first has definitely not taken the message. A message that
may have been taken is never handed to a second one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from alerting.channels.base import (
    AMBIGUOUS,
    PROVIDER_DOWN,
    THROTTLED,
    CanLookUp,
    CannotLookUp,
    Fault,
    Outcome,
    Outgoing,
)
from alerting.channels.spec import Provider
from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane
from alerting.providers.alarm_sink import AlarmSink
from alerting.providers.breaker import Breaker, Limits, State
from alerting.providers.rate.contract import Rate
from alerting.providers.rate.senders import WINDOW_S, SenderRates
from alerting.providers.route import NONE_LEFT, Route

#: The ledger's code when the breakers of all providers are open; nobody was called.
CIRCUIT_OPEN = "circuit-open"
#: The ledger's code when the rate limiter gave no permit in time; nobody was called. The value is
#: older than the constant's name, and stored.
NO_PERMIT = "no-turn"


class Routes:
    """Sends by the healthiest provider of a channel. Lives on one event loop.

    providers: by channel, the preferred first. penalties: each provider's current penalty by name
    (0 is none). limits: for every breaker, instead of its provider's own. cooldown_changed: called
    with a provider's name when its breaker opens and when it closes.
    """

    def __init__(
        self,
        providers: Mapping[str, Sequence[Provider]],
        rates: SenderRates,
        alarms: AlarmSink,
        *,
        now: Callable[[], float] = time.monotonic,
        limits: Limits | None = None,
        penalties: Callable[[], Mapping[str, int]] = dict,
        cooldown_changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sender_rates = rates
        self._alarms = alarms
        self._penalties = penalties
        self._rates: dict[str, Rate] = {}
        self._asking = asyncio.Lock()
        self._routes: dict[str, list[Route]] = {}
        for channel, several in providers.items():
            for rank, provider in enumerate(several):
                route = Route(
                    provider,
                    rank,
                    alarms,
                    now=now,
                    limits=limits,
                    can_fail_over=self._can_fail_over(channel, provider.name),
                    cooldown_changed=cooldown_changed,
                )
                self._routes.setdefault(channel, []).append(route)

    @property
    def breakers(self) -> dict[str, Breaker]:
        """Each provider's, by its name."""
        return {r.name: r.breaker for several in self._routes.values() for r in several}

    def has(self, channel: str) -> bool:
        """True when there is a provider for it at all."""
        return channel in self._routes

    def can_be_silent(self, channel: str) -> bool:
        """True when the channel can replace what a device shows without interrupting."""
        routes = self._routes.get(channel, ())
        return bool(routes) and all(r.provider.channel.can_be_silent for r in routes)

    async def window(self, channel: str, most: int) -> int:
        """How many sends may be open at once, by the rate the live policy gives the channel now;
        the sends that follow keep to it.

        As many as a provider has recently taken in the time of a window: each connection then has
        its next message ready, and few windows are committed.
        """
        capacity = max(r.capacity(WINDOW_S) for r in self._routes[channel])
        rate = self._rates[channel] = await self._sender_rates.rate_of(channel)
        return self._sender_rates.window(rate, min(most, capacity))

    def cooldown_s(self, channel: str) -> float:
        """Seconds until one of its providers may be called; 0 when one may now."""
        return min((r.breaker.wait_s() for r in self._routes.get(channel, ())), default=0.0)

    async def send(
        self,
        channel: str,
        message: Outgoing,
        lane: Lane,
        tenant: str,
        *,
        avoid: str = "",
        may_call: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """Send one message when the rate permits; never raises. The outcome says who was called.

        A provider that fails, or refuses us, hands over to the next; so does one without capacity,
        for Severe and above. Where all breakers are open a message of these lanes still probes one
        provider a second.

        avoid: the provider that did not answer an earlier try; it comes last. may_call: asked at
        the last moment, with the permit in hand; where it says no, nobody is called.
        """
        routes = self._by_health(channel, avoid)
        urgent = lane in HIGH_PRIORITY_LANES
        last: Outcome | None = None
        for route in routes:
            if route.wait_s(message) > 0:
                continue
            outcome = await self._try(route, message, lane, tenant, may_call)
            if outcome is None:
                continue
            last = outcome
            if not hands_over(last, lane):
                return last
        if last is not None:
            return last
        for route in routes if urgent else ():
            if route.wait_s(message, urgent=True) > 0:
                continue
            outcome = await self._try(route, message, lane, tenant, may_call, urgent=True)
            if outcome is not None:
                return outcome
        return self._none_left(routes, channel, message, urgent=urgent)

    async def look_up(
        self, channel: str, provider: str, message: Outgoing, *, since: datetime
    ) -> Outcome | None:
        """What the provider knows of a message whose answer was lost; all of them where it is not
        known who was called. None where all that were asked know nothing. Raises CannotLookUp."""
        asked = [
            r.provider for r in self._routes.get(channel, ()) if provider in ("", r.provider.name)
        ]
        if not asked:
            raise CannotLookUp(channel)
        able = [(p.name, p.channel) for p in asked if isinstance(p.channel, CanLookUp)]
        if len(able) < len(asked):
            raise CannotLookUp(channel)
        for name, adapter in able:
            found = await adapter.look_up(message, since=since)
            if found is not None:
                return found._replace(provider=name)
        return None

    def _can_fail_over(self, channel: str, name: str) -> Callable[[], bool]:
        """Whether another provider than `name` can take over now."""

        def can_fail_over() -> bool:
            several = self._routes[channel]
            # Asked for every message, and mostly there is one.
            return len(several) > 1 and any(
                r.breaker.state is State.CLOSED for r in several if r.name != name
            )

        return can_fail_over

    def _by_health(self, channel: str, avoid: str) -> list[Route]:
        routes = self._routes.get(channel, [])
        if len(routes) < 2:
            return routes
        penalties = self._penalties()
        return sorted(routes, key=lambda r: (r.name == avoid, penalties.get(r.name, 0), r.rank))

    async def _try(
        self,
        route: Route,
        message: Outgoing,
        lane: Lane,
        tenant: str,
        may_call: Callable[[], bool],
        *,
        urgent: bool = False,
    ) -> Outcome | None:
        provider = route.provider
        rate = await self._rate(provider.channel.name)
        if not await self._sender_rates.acquire(provider, message, lane, tenant, rate):
            return Outcome(message.delivery_id, THROTTLED, provider_code=NO_PERMIT, called=False)
        may_give_up = lane in HIGH_PRIORITY_LANES and len(self._routes[provider.channel.name]) > 1
        outcome = await route.call(
            message, urgent=urgent, may_give_up=may_give_up, may_call=may_call
        )
        if outcome is not None and outcome.called:
            await self._sender_rates.report(provider, lane, rate, outcome)
        return outcome

    async def _rate(self, channel: str) -> Rate:
        """The rate its last window had; asked for once where nothing was sent in a window yet."""
        known = self._rates.get(channel)
        if known is None:
            async with self._asking:
                known = self._rates.get(channel)
                if known is None:
                    known = self._rates[channel] = await self._sender_rates.rate_of(channel)
        return known

    def _none_left(
        self, routes: Sequence[Route], channel: str, message: Outgoing, *, urgent: bool
    ) -> Outcome:
        if not any(r.provider.by_origin for r in routes):
            self._alarms.open(
                NONE_LEFT,
                channel,
                f"No provider of {channel} works at the moment, and its messages wait; "
                "docs/runbooks/provider-down.md.",
            )
        wait_s = min((r.wait_s(message, urgent=urgent) for r in routes), default=0.0)
        return Outcome(
            message.delivery_id,
            PROVIDER_DOWN,
            provider_code=CIRCUIT_OPEN,
            # A moment, where a call has just become possible again.
            retry_after_s=max(wait_s, 0.1),
            called=False,
        )


def hands_over(outcome: Outcome, lane: Lane) -> bool:
    """True when the message has definitely not been taken and another provider may take it."""
    error = outcome.error
    if error is None or error is AMBIGUOUS:
        return False
    if error is THROTTLED:
        return lane in HIGH_PRIORITY_LANES
    return error.fault in {Fault.OURS, Fault.PROVIDER}
