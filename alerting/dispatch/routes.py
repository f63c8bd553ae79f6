"""Routes: which provider of a channel is called, at its pace and while it is well.

Another provider is tried only when the first has definitely not taken the message. What may have
been taken is never handed to a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from alerting.dispatch.pacing import Pacing
from alerting.domain.lane import GRAVE_LANES, Lane
from alerting.observe.logs import logger
from alerting.throttle.breaker import Breaker, Ending, Limits
from alerting.throttle.pace import Rate

log = logger(__name__)

#: The code in the ledger of what was sent to nobody, because every provider is left alone.
CIRCUIT_OPEN = "circuit-open"
#: The code where an adapter broke its promise never to raise.
ADAPTER_ERROR = "adapter-error"

_DOWN = "provider-down"
_REFUSES = "provider-refuses-us"
_NONE_LEFT = "no-provider-left"


class Routes:
    """Sends by the healthiest provider of a channel. Lives on one event loop.

    providers: by channel, the preferred first. penalties: how much a provider is to be avoided at
    the moment (0 is not at all), by name.
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
        self._hang_s = (limits or Limits()).slow_s
        self._routes = {
            channel: [
                _Route(p, n, Breaker(now, limits=limits), alarms) for n, p in enumerate(several)
            ]
            for channel, several in providers.items()
            if several
        }

    def has(self, channel: str) -> bool:
        """True when there is a provider for it at all."""
        return channel in self._routes

    def can_be_silent(self, channel: str) -> bool:
        """True when the channel can replace what a device shows without interrupting."""
        routes = self._routes.get(channel, ())
        return bool(routes) and all(r.provider.channel.can_be_silent for r in routes)

    async def window(self, channel: str, most: int) -> int:
        """How many sends may be open at once, by the rate the live policy gives the channel now;
        the sends that follow keep to it."""
        concurrency = max(r.provider.channel.concurrency for r in self._routes[channel])
        rate = self._rates[channel] = await self._pacing.rate(channel)
        return self._pacing.window(rate, min(most, concurrency))

    def rest_s(self, channel: str) -> float:
        """Seconds until one of its providers may be called; 0 when one may now."""
        return min((r.breaker.rest_s for r in self._routes.get(channel, ())), default=0.0)

    async def send(self, channel: str, message: Outgoing, lane: Lane, tenant: str) -> Outcome:
        """Send one message when it is its turn; never raises. The outcome says who was called.

        A provider that is ill, or refuses us, hands over to the next; so does one that has no
        capacity left, for grave lanes.
        """
        last: Outcome | None = None
        for route in self._by_health(channel):
            call = route.breaker.begin()
            if call is None:
                continue
            ending = Ending.NOTHING
            try:
                last = await self._call(route, message, lane, tenant)
                ending = ending_of(last)
            finally:
                route.breaker.ended(call, ending)
            if not hands_over(last, lane):
                return last
        if last is not None:
            return last
        self._alarms.open(
            _NONE_LEFT,
            channel,
            f"No provider of {channel} may be called at the moment. Its messages wait.",
        )
        return Outcome(
            message.delivery_id,
            PROVIDER_DOWN,
            provider_code=CIRCUIT_OPEN,
            retry_after_s=self.rest_s(channel),
            called=False,
        )

    async def look_up(
        self, channel: str, provider: str, message: Outgoing, *, since: datetime
    ) -> Outcome | None:
        """What the provider knows of a message whose answer was lost; all of them where it is not
        known who was called. None where all that were asked know nothing. Raises CannotLookUp."""
        routes = [
            r.provider for r in self._routes.get(channel, ()) if provider in ("", r.provider.name)
        ]
        if not routes:
            raise CannotLookUp(channel)
        for p in routes:
            if not isinstance(p.channel, CanLookUp):
                raise CannotLookUp(p.name)
        for p in routes:
            assert isinstance(p.channel, CanLookUp)  # noqa: S101 - seen above
            found = await p.channel.look_up(message, since=since)
            if found is not None:
                return _by(found, p.name)
        return None

    def _by_health(self, channel: str) -> list[_Route]:
        routes = self._routes.get(channel, [])
        if len(routes) < 2:
            return routes
        penalties = self._penalties()
        return sorted(routes, key=lambda r: (penalties.get(r.provider.name, 0), r.rank))

    async def _call(self, route: _Route, message: Outgoing, lane: Lane, tenant: str) -> Outcome:
        provider = route.provider
        try:
            rate = self._rates.get(provider.channel.name) or Rate(0)
            several = len(self._routes[provider.channel.name]) > 1
            outcome = await self._pacing.send(
                provider,
                message,
                lane,
                tenant,
                rate,
                # Alone, a slow provider is better than none.
                hang_s=self._hang_s if several else None,
            )
        except Exception as e:
            # The whole story once; a window of them would say the same.
            log.exception(
                "adapter.raised",
                provider=provider.name,
                error=type(e).__name__,
                exc_info=not route.raised,
            )
            route.raised = True
            outcome = Outcome(message.delivery_id, AMBIGUOUS, provider_code=ADAPTER_ERROR)
        return _by(outcome, provider.name)


class _Route:
    """One provider and its breaker, which raises and ends the alarms."""

    def __init__(self, provider: Provider, rank: int, breaker: Breaker, alarms: Alarms) -> None:
        self.provider = provider
        self.rank = rank
        self.breaker = breaker
        self.raised = False
        self._alarms = alarms
        breaker.opened, breaker.closed = self._opened, self._closed

    def _opened(self, why: Ending) -> None:
        name = self.provider.name
        log.warning("breaker.open", provider=name, why=why.name.lower())
        if why is Ending.REFUSED_US:
            self._alarms.open(
                _REFUSES,
                name,
                f"{name} refuses our credentials or sender. Check its settings; "
                "docs/runbooks/provider-down.md.",
            )
        else:
            self._alarms.open(
                _DOWN, name, f"{name} fails or does not answer; docs/runbooks/provider-down.md."
            )

    def _closed(self) -> None:
        name = self.provider.name
        log.info("breaker.closed", provider=name)
        for kind, subject in (
            (_REFUSES, name), (_DOWN, name), (_NONE_LEFT, self.provider.channel.name)
        ):  # fmt: skip
            self._alarms.close(kind, subject)


def ending_of(outcome: Outcome) -> Ending:
    """What an outcome says about the provider, not about the message."""
    error = outcome.error
    if error is None:
        return Ending.GOOD
    if not outcome.called:
        return Ending.NOTHING
    match error.fault:
        case Fault.OURS:
            return Ending.REFUSED_US
        case Fault.PROVIDER:
            return Ending.BAD
        case Fault.CAPACITY | Fault.TIME:
            return Ending.NOTHING
        case _:
            return Ending.GOOD


def hands_over(outcome: Outcome, lane: Lane) -> bool:
    """True when the message has definitely not been taken and another provider may take it."""
    error = outcome.error
    if error is None or error is AMBIGUOUS:
        return False
    if error is THROTTLED:
        return lane in GRAVE_LANES
    return error.fault in {Fault.OURS, Fault.PROVIDER}


def _by(outcome: Outcome, name: str) -> Outcome:
    return replace(outcome, provider=name if outcome.called else "")
