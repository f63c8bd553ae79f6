"""Route: one provider, how it is called, and what its answers say about its health."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from alerting.channels.base import AMBIGUOUS, PROVIDER_DOWN, Fault, Outcome, Outgoing
from alerting.channels.spec import Provider
from alerting.observe.logs import logger
from alerting.observe.metrics import PROVIDER_CALLS, PROVIDER_SECONDS
from alerting.providers.alarm_sink import AlarmSink
from alerting.providers.breaker import Breaker, Call, Ending, Limits, State

log = logger(__name__)

#: The code where an adapter broke its promise never to raise.
ADAPTER_ERROR = "adapter-error"
#: The code where a provider did not answer while another one could take over.
HANGS = "hangs"

#: The code where the caller was not allowed to call: its lease or its alert may have ended.
NOT_CALLED = "not-called"

DOWN = "provider-down"
REFUSES = "provider-refuses-us"
NONE_LEFT = "no-provider-left"

# Scheme and server only: path, query and fragment identify the citizen.
_SERVER = re.compile(r"[^:/?#]+://([^/?#]*)")

_RUNBOOK = "docs/runbooks/provider-down.md"

#: The weight of the last call in the moving average of call times.
_LAST = 1 / 16

#: How often a hanging call is checked.
_LOOK_S = 0.25
#: An alarm, also of an earlier process, closes when a provider has worked for this long.
_QUIET_S = 30.0
#: Origins remembered; anybody who registers an address names one.
_MOST_ORIGINS = 256
#: An origin with this many messages is worth an alarm; anybody can register a dead one.
_ALARMING = 50


class Route:
    """Calls one provider while its breaker lets it. Lives on one event loop.

    can_fail_over: whether another provider of the channel can take over now. cooldown_changed:
    called with the provider's name when its breaker opens and when it closes.
    """

    def __init__(
        self,
        provider: Provider,
        rank: int,
        alarms: AlarmSink,
        *,
        now: Callable[[], float],
        limits: Limits | None,
        can_fail_over: Callable[[], bool],
        cooldown_changed: Callable[[str], None],
    ) -> None:
        self.provider = provider
        self.rank = rank
        self._alarms = alarms
        self._now = now
        self._limits = limits or Limits(slow_s=provider.slow_s)
        self._can_fail_over = can_fail_over
        self._cooldown_changed = cooldown_changed
        self._connections = asyncio.Semaphore(provider.channel.concurrency)
        #: Seconds a call has lately taken; 0 before the first.
        self._took_s = 0.0
        self._origins: OrderedDict[str, _Origin] = OrderedDict()
        self._raised = False
        # An alarm of an earlier process may still be open.
        self._alarmed = True
        self._troubled_s = now()
        self.breaker = self._new(provider.name)

    @property
    def name(self) -> str:
        return self.provider.name

    def capacity(self, within_s: float) -> int:
        """How many messages its connections have recently taken in this many seconds; one for each
        connection at least, and where nothing is known yet."""
        at_once, took_s = self.provider.channel.concurrency, self._took_s
        if not took_s or took_s >= within_s:
            return at_once
        return at_once * max(2, int(within_s / took_s))

    def wait_s(self, message: Outgoing, *, urgent: bool = False) -> float:
        """Seconds until it may be called for this message; 0 when it may now."""
        breaker = self._breaker(message)
        breaker.count_hanging()
        return breaker.wait_s(urgent=urgent)

    async def call(
        self,
        message: Outgoing,
        *,
        urgent: bool = False,
        may_give_up: bool = False,
        may_call: Callable[[], bool] = lambda: True,
    ) -> Outcome | None:
        """Hand the message over; None where the breaker does not let it. Never raises.

        may_give_up: stop waiting for a silent provider while another can take over; the outcome is
        then ambiguous. may_call: asked when a connection is free.
        """
        breaker = self._breaker(message)
        # Waiting for a connection is no fault of the provider's.
        async with self._connections:
            if not may_call():
                return Outcome(
                    message.delivery_id, PROVIDER_DOWN, provider_code=NOT_CALLED, called=False
                )
            call = breaker.begin(urgent=urgent)
            if call is None:
                return None
            ending, code = Ending.NOTHING, ""
            begun_s = self._now()
            try:
                if may_give_up:
                    outcome = await self._answer(message, breaker, call)
                else:
                    outcome = await self._send(message)
                ending, code = ending_of(outcome), outcome.provider_code
                PROVIDER_CALLS.add(self.name, outcome.error.code if outcome.error else "accepted")
                PROVIDER_SECONDS.add(self._now() - begun_s, self.name)
            finally:
                breaker.ended(call, ending)
                took_s = self._now() - begun_s
                self._took_s += (took_s - self._took_s) * (_LAST if self._took_s else 1)
        self._learn(ending, code)
        return outcome._replace(provider=self.name if outcome.called else "")

    async def _send(self, message: Outgoing) -> Outcome:
        try:
            return await self.provider.channel.send(message)
        except Exception as e:
            # The traceback once; a window of them would say the same.
            log.exception(
                "adapter.raised",
                provider=self.name,
                error=type(e).__name__,
                exc_info=not self._raised,
            )
            self._raised = True
            return Outcome(message.delivery_id, AMBIGUOUS, provider_code=ADAPTER_ERROR)

    async def _answer(self, message: Outgoing, breaker: Breaker, call: Call) -> Outcome:
        task = asyncio.create_task(self._send(message))
        try:
            done, _ = await asyncio.wait({task}, timeout=breaker.slow_s)
            while not done:
                breaker.count_hanging()
                if breaker.silent_since(call) and self._can_fail_over():
                    task.cancel()
                    await asyncio.wait({task})
                    if task.cancelled():
                        return Outcome(message.delivery_id, AMBIGUOUS, provider_code=HANGS)
                    break
                done, _ = await asyncio.wait({task}, timeout=_LOOK_S)
            return task.result()
        except asyncio.CancelledError:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            raise

    def _breaker(self, message: Outgoing) -> Breaker:
        if not self.provider.by_origin:
            return self.breaker
        found = _SERVER.match(message.endpoint)
        host = found[1] if found else ""
        origin = self._origins.get(host)
        if origin is None:
            origin = self._origins[host] = _Origin(self._new(f"{self.name} {host}"))
            if len(self._origins) > _MOST_ORIGINS:
                self._origins.popitem(last=False)
        self._origins.move_to_end(host)
        origin.asked += 1
        return origin.breaker

    def _new(self, subject: str) -> Breaker:
        breaker = Breaker(
            self._now,
            limits=self._limits,
            can_fail_over=self._can_fail_over,
            opened=lambda why: self._opened(subject, breaker, why),
            closed=lambda: self._closed(subject),
        )
        return breaker

    def _opened(self, subject: str, breaker: Breaker, why: Ending) -> None:
        cooldown_s = round(breaker.wait_s(), 1)
        log.warning("breaker.open", provider=subject, why=why.name.lower(), cooldown_s=cooldown_s)
        if breaker is not self.breaker:
            host = subject.removeprefix(f"{self.name} ")
            if host not in self._origins or self._origins[host].asked < _ALARMING:
                return
        else:
            self._cooldown_changed(self.name)
        self._alarmed = True
        if why is not Ending.REFUSED_US:
            self._alarms.open(DOWN, subject, f"{subject} fails or does not answer; {_RUNBOOK}.")

    def _closed(self, subject: str) -> None:
        log.info("breaker.closed", provider=subject)
        if subject == self.name:
            self._cooldown_changed(self.name)
            self._end_alarms()
        else:
            self._alarms.close(DOWN, subject)

    def _learn(self, ending: Ending, code: str) -> None:
        match ending:
            case Ending.REFUSED_US:
                self._alarmed, self._troubled_s = True, self._now()
                self._alarms.open(
                    REFUSES,
                    self.name,
                    f"{self.name} refuses our credentials, our sender or where we send to"
                    f"{f' ({code})' if code else ''}; {_RUNBOOK}.",
                )
            case Ending.BAD:
                self._troubled_s = self._now()
            case Ending.GOOD:
                quiet = self._now() - self._troubled_s >= _QUIET_S
                if self._alarmed and quiet and self.breaker.state is State.CLOSED:
                    self._end_alarms()

    def _end_alarms(self) -> None:
        self._alarmed = False
        self._alarms.close(REFUSES, self.name)
        self._alarms.close(DOWN, self.name)
        self._alarms.close(NONE_LEFT, self.provider.channel.name)


class _Origin:
    """The server behind an address, which is the real provider. asked: messages for it."""

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self.asked = 0


def ending_of(outcome: Outcome) -> Ending:
    """What an outcome says about the provider's health, not about the message."""
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
