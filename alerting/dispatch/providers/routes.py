"""Routes: which provider of a channel is called, at its pace and while it is well.

Another provider is tried only when the first has definitely not taken the message. What may have
been taken is never handed to a second.
"""

from __future__ import annotations

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
from alerting.channels.registry import Provider
from alerting.dispatch.alarms import Alarms
from alerting.dispatch.providers.pacing import WINDOW_S, Pacing
from alerting.dispatch.providers.route import NONE_LEFT, Route
from alerting.domain.lane import GRAVE_LANES, Lane
from alerting.observe.logs import logger
from alerting.throttle.breaker import Breaker, Limits, State
from alerting.throttle.pace import Rate

log = logger(__name__)

#: The code in the ledger of what was sent to nobody, because every provider is left alone.
CIRCUIT_OPEN = "circuit-open"
#: The code in the ledger of what got no turn in time; no provider was called for it.
NO_TURN = "no-turn"


class Routes:
    """Sends by the healthiest provider of a channel. Lives on one event loop.

    providers: by channel, the preferred first. penalties: how much a provider is to be avoided at
    the moment (0 is not at all), by name. limits: those of each provider's breaker, where they are
    not to be its own.

    Set `rested` to hear whenever a provider begins to be left alone and when it works again.
    """

    def __init__(
        self,
        providers: Mapping[str, Sequence[Provider]],
        pacing: Pacing,
        alarms: Alarms,
        *,
        now: Callable[[], float] = time.monotonic,
        limits: Limits | None = None,
        penalties: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._pacing = pacing
        self._alarms = alarms
        self._penalties = penalties
        self._rates: dict[str, Rate] = {}
        self.rested: Callable[[str], None] = lambda _: None
        self._routes: dict[str, list[Route]] = {}
        for channel, several in providers.items():
            for rank, provider in enumerate(several):
                route = Route(
                    provider,
                    rank,
                    alarms,
                    now=now,
                    limits=limits,
                    spare=self._spare(channel, provider.name),
                    rested=lambda name: self.rested(name),
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

        As many as a provider has lately taken in the time of a window: each connection then has
        its next message ready, and few windows are written down.
        """
        places = max(r.places(WINDOW_S) for r in self._routes[channel])
        rate = self._rates[channel] = await self._pacing.rate(channel)
        return self._pacing.window(rate, min(most, places))

    def rest_s(self, channel: str) -> float:
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
        """Send one message when it is its turn; never raises. The outcome says who was called.

        A provider that is ill, or refuses us, hands over to the next; so does one that has no
        capacity left, for grave lanes. Where all are left alone a grave message still tries one of
        them, once a second.

        avoid: the provider an earlier try fell silent at; it comes last. may_call: asked at the
        last moment, when it is the message's turn; where it says no, nobody is called.
        """
        routes = self._by_health(channel, avoid)
        grave = lane in GRAVE_LANES
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
        for route in routes if grave else ():
            if route.wait_s(message, urgent=True) > 0:
                continue
            outcome = await self._try(route, message, lane, tenant, may_call, urgent=True)
            if outcome is not None:
                return outcome
        return self._none_left(routes, channel, message, urgent=grave)

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

    def _spare(self, channel: str, name: str) -> Callable[[], bool]:
        """Whether another provider than `name` could take over now."""

        def spare() -> bool:
            several = self._routes[channel]
            # Asked for every message, and mostly there is one.
            return len(several) > 1 and any(
                r.breaker.state is State.CLOSED for r in several if r.name != name
            )

        return spare

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
        rate = self._rates.get(provider.channel.name) or Rate(0)
        if not await self._pacing.turn(provider, message, lane, tenant, rate):
            return Outcome(message.delivery_id, THROTTLED, provider_code=NO_TURN, called=False)
        may_give_up = lane in GRAVE_LANES and len(self._routes[provider.channel.name]) > 1
        outcome = await route.call(
            message, urgent=urgent, may_give_up=may_give_up, may_call=may_call
        )
        if outcome is not None and outcome.called:
            await self._pacing.said(provider, lane, rate, outcome)
        return outcome

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
            # A moment, where it has just become possible to call again.
            retry_after_s=max(wait_s, 0.1),
            called=False,
        )


def hands_over(outcome: Outcome, lane: Lane) -> bool:
    """True when the message has definitely not been taken and another provider may take it."""
    error = outcome.error
    if error is None or error is AMBIGUOUS:
        return False
    if error is THROTTLED:
        return lane in GRAVE_LANES
    return error.fault in {Fault.OURS, Fault.PROVIDER}
