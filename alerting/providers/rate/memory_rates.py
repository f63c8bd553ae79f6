"""The rate limiter's reservations in memory: the reference of the rules, and the fallback."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from alerting.domain.lane import Lane
from alerting.providers.rate.contract import (
    ACTIVE_US,
    BLOCK_HIGH_US,
    BURST_US,
    CHUNK_HIGH_US,
    CHUNK_LOW_US,
    FAIR_WAIT_LEAST_US,
    FAIR_WAIT_MOST_US,
    FIRST_STEP,
    HEADROOM,
    HIGH,
    HORIZON_HIGH_US,
    HORIZON_SHORT_US,
    LAST_STEP,
    LEAST_SHARE,
    LIVE_US,
    MICRO,
    MOST_TOKENS,
    OUTAGE_US,
    SLACK_CHUNKS,
    SLOW_SHARE,
    USED_ENOUGH,
    WAIT_LEAST_US,
    WHOLE,
    WINDOW_US,
    WORKER_US,
    Grant,
    Rate,
    pause_us,
    unlimited,
)

#: Before any clock.
_NEVER = -(10**15)


@dataclass(slots=True)
class _FairQueue:
    """The tenants of one lane, by start-time fair queueing.

    A tenant's finish tag counts the tokens it was granted, in virtual time. A tenant that asks for
    less than its share saves up half a second's worth at most, so that it can catch up on a moment
    in which it was busy.
    """

    virtual: int = 0
    finish: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    hungry: set[str] = field(default_factory=set)

    def forget(self, now: int) -> None:
        """Drop inactive tenants, and those from after now: the clock stepped back."""
        for tenant, at in list(self.asked.items()):
            if not now - ACTIVE_US < at <= now:
                del self.asked[tenant], self.finish[tenant]
                self.hungry.discard(tenant)

    def start(self, tenant: str, interval: float) -> int:
        """The tenant's start tag: one that waits keeps its own, others move up to the present."""
        if tenant not in self.finish:
            return self.virtual
        finish = self.finish[tenant]
        if tenant in self.hungry:
            return finish
        credit = math.floor(ACTIVE_US / interval / len(self.finish))
        return max(finish, self.virtual - credit)

    def least_of_others(self, tenant: str) -> int | None:
        """The lowest finish tag of the other waiting tenants."""
        return min((self.finish[t] for t in self.hungry if t != tenant), default=None)

    def place(self, tenant: str, now: int, start: int, granted: int, tokens: int) -> None:
        """Record what the tenant was granted, and whether it waits for more."""
        self.asked[tenant] = now
        self.finish[tenant] = start + granted
        if granted < tokens:
            self.hungry.add(tenant)
        else:
            self.hungry.discard(tenant)
        present = min((self.finish[t] for t in self.hungry), default=start)
        self.virtual = max(self.virtual, present)


@dataclass(slots=True)
class _Sender:
    """One sender's reservations and adapted rate. Instants are microseconds."""

    at: int
    high: int = _NEVER
    low: int = _NEVER
    high_at: int = _NEVER
    epoch: int = 0
    share: int = WHOLE
    step: int = FIRST_STEP
    slow: int = 0
    window_at: int = _NEVER
    used: int = 0
    cut_at: int = _NEVER
    throttled_at: int = _NEVER
    failing_at: int = 0
    blocked: int = _NEVER
    lines: dict[Lane, _FairQueue] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)

    def begin(self, now: int, rate: Rate) -> None:
        """Advance to the present; every decision starts here."""
        if now < self.at:
            # A clock that steps back moves all instants with it, or everybody would wait for it.
            back = self.at - now
            self.high -= back
            self.low -= back
            self.high_at -= back
            self.window_at -= back
            self.cut_at -= back
            self.throttled_at -= back
            self.blocked -= back
            self.failing_at = max(self.failing_at - back, 1) if self.failing_at else 0
        self.at = now
        if now - self.window_at >= WINDOW_US:
            self._raise(now, rate)
            self.window_at = now
            self.used = 0

    def _raise(self, now: int, rate: Rate) -> None:
        """Raise the rate after a second without a 429 in which it was used."""
        enough = USED_ENOUGH * (now - self.window_at) / self.interval(rate, limited=self.live(now))
        if self.share >= WHOLE or self.used < enough:
            return
        if self.slow:
            self.share = min(WHOLE, 2 * self.share)
        else:
            self.share = min(WHOLE, self.share + self.step)
            self.step = min(LAST_STEP, 2 * self.step)
        if self.share >= WHOLE:
            self.slow, self.step = 0, FIRST_STEP

    def live(self, now: int) -> bool:
        """True while Severe or above is active."""
        return now - self.high_at < LIVE_US

    def interval(self, rate: Rate, *, limited: bool) -> float:
        """Microseconds per token."""
        interval = 1e12 / (rate.per_second * HEADROOM * self.share)
        return interval / (1 - rate.severe_share) if limited else interval

    def throttled(self, now: int, pause: int) -> None:
        self.blocked = max(self.blocked, now + pause)
        if now - self.cut_at >= WINDOW_US:
            self.share = max(LEAST_SHARE, self.share * 7 // 10)
            self.cut_at = now
        if not self.failing_at:
            self.failing_at = now
        self.throttled_at = self.window_at = now
        self.used, self.slow, self.step = 0, 0, FIRST_STEP

    def succeeded(self, now: int) -> None:
        if self.failing_at and now - self.failing_at >= OUTAGE_US:
            self.share, self.slow = min(self.share, SLOW_SHARE), 1
            self.window_at, self.used = now, 0
        self.failing_at = 0


class MemoryRateStore:
    """The rules in plain Python, for one process. Not for use by several threads at once.

    now_s: seconds, from whatever beginning. It may stand in for all workers of a simulation, who
    then share one.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._senders: dict[str, _Sender] = {}
        self._listening: dict[str, list[asyncio.Queue[int]]] = {}

    async def reserve(
        self,
        sender: str,
        lane: Lane,
        tenant: str,
        tokens: int,
        rate: Rate,
        *,
        unit: int = 1,
        timeout_s: float | None = None,
    ) -> Grant:
        """See RateStore.reserve. Never waits and never raises Unavailable."""
        return self.decide(sender, lane, tenant, tokens, rate, unit=unit)

    async def report(
        self,
        sender: str,
        rate: Rate,
        *,
        throttled: bool,
        retry_after_s: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """See RateStore.report. Never waits and never raises Unavailable."""
        self.note(sender, rate, throttled=throttled, retry_after_s=retry_after_s)

    async def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        """See RateStore.epochs. Never ends by itself."""
        heard: asyncio.Queue[int] = asyncio.Queue()
        self._listening.setdefault(sender, []).append(heard)
        try:
            while True:
                yield await heard.get()
        finally:
            self._listening[sender].remove(heard)

    def share(self, sender: str) -> float:
        """The share of the configured rate that is used at present."""
        state = self._senders.get(sender)
        return state.share / WHOLE if state else 1.0

    def decide(
        self,
        sender: str,
        lane: Lane,
        tenant: str,
        tokens: int,
        rate: Rate,
        *,
        unit: int = 1,
        worker: str = "",
    ) -> Grant:
        """Reserve at once, for the named worker."""
        if rate.per_second <= 0:
            return unlimited(tokens)
        now, state = self._state(sender, rate)
        workers = {w: at for w, at in state.workers.items() if now - WORKER_US < at <= now}
        state.workers = workers | {worker: now}
        high = lane in HIGH

        def grant(granted: int = 0, start: int = now, length: int = 0, wait: int = 0) -> Grant:
            return Grant(
                state.epoch,
                granted,
                (start - now) / MICRO,
                length / granted / MICRO if granted else 0.0,
                wait / MICRO,
                len(state.workers),
            )

        if tokens <= 0:
            return grant()
        blocked = min(state.blocked, state.throttled_at + BLOCK_HIGH_US) if high else state.blocked
        if blocked > now:
            return grant(wait=max(blocked - now, WAIT_LEAST_US))

        limited = not high and state.live(now)
        interval = state.interval(rate, limited=limited)
        chunk = math.floor((CHUNK_HIGH_US if high else CHUNK_LOW_US) / interval)
        chunk = min(max(chunk, unit), MOST_TOKENS)
        line = state.lines.setdefault(lane, _FairQueue())
        line.forget(now)
        place = line.start(tenant, interval)
        least = line.least_of_others(tenant)
        if least is not None and place - least > SLACK_CHUNKS * chunk:
            ahead = place - least - SLACK_CHUNKS * chunk
            line.place(tenant, now, place, 0, tokens)
            wait = math.ceil(ahead * interval * len(line.hungry))
            return grant(wait=min(max(wait, FAIR_WAIT_LEAST_US), FAIR_WAIT_MOST_US))

        if high:
            start = max(state.high, now - BURST_US)
            horizon = HORIZON_HIGH_US
        else:
            start = max(state.low, state.high, now - BURST_US)
            horizon = round(rate.horizon_s * MICRO)
        if limited or len(line.finish) > 1:
            horizon = min(horizon, HORIZON_SHORT_US)
        until = now + horizon
        if start >= until:
            line.place(tenant, now, place, 0, tokens)
            return grant(wait=max(start - until, WAIT_LEAST_US))
        fitting = min(chunk, math.ceil((until - start) / interval))
        granted = min(tokens, math.ceil(fitting / unit) * unit)
        length = math.ceil(granted * interval)
        if high:
            if not state.live(now):
                self._new_epoch(sender, state)
            state.high_at = now
            state.high = start + length
            state.low += length
        else:
            state.low = start + length
        state.used += granted
        line.place(tenant, now, place, granted, tokens)
        return grant(granted, start, length)

    def note(
        self, sender: str, rate: Rate, *, throttled: bool, retry_after_s: float | None = None
    ) -> None:
        """Report at once."""
        if rate.per_second <= 0:
            return
        now, state = self._state(sender, rate)
        if throttled:
            pause = pause_us(retry_after_s)
            if pause > 0 and state.blocked <= now:
                # Reservations within the pause are void.
                self._new_epoch(sender, state)
            state.throttled(now, pause)
        else:
            state.succeeded(now)

    def _new_epoch(self, sender: str, state: _Sender) -> None:
        state.epoch += 1
        for heard in self._listening.get(sender, ()):
            heard.put_nowait(state.epoch)

    def _state(self, sender: str, rate: Rate) -> tuple[int, _Sender]:
        now = math.floor(self._now_s() * MICRO)
        state = self._senders.setdefault(sender, _Sender(now))
        state.begin(now, rate)
        return now, state
