"""Circuit breaker: decides when a provider is not called, by how its calls end and how long they
take.

Closed: every call goes. Open: none does, for a cooldown that doubles each time. Half open: one call
a second goes as a probe; enough good ones close it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

#: How long a success counts as proof of health.
FRESH_S = 1.0


class Ending(Enum):
    """How a call ended, as far as it tells something about the provider."""

    #: It answered, whatever it said of the message.
    GOOD = auto()
    #: It failed, could not be reached, or the connection broke.
    BAD = auto()
    #: It refuses us: credentials, sender, configuration. Waiting does not mend that.
    REFUSED_US = auto()
    #: Says nothing about it: the rate was too high for it, or no call was made.
    NOTHING = auto()


class State(Enum):
    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """When to open and for how long. Never after one call, which may be about its message.

    few: this many bad calls in a row open it when no good one came for `slow_s`; half as many do
    when they refuse us. A row is forgotten `row_s` after its last call, so that a centre that sends
    three messages an hour is protected too. many: this many in a row open it at once, and this many
    within `window_s` do when a share of `bad_share` is bad.

    slow_s: a call that takes longer counts as bad, also while it hangs; only while another provider
    can take over, since a slow one is better than none.

    cooldown_s, cooldown_max_s: the first and the longest cooldown. refused_cooldown_s: the shortest
    one where it refuses us. probe_every_s: time between probes. good_probes: this many close it.
    """

    window_s: float = 10.0
    row_s: float = 300.0
    few: int = 5
    many: int = 20
    bad_share: float = 0.5
    slow_s: float = 3.0
    cooldown_s: float = 2.0
    cooldown_max_s: float = 60.0
    refused_cooldown_s: float = 15.0
    probe_every_s: float = 1.0
    good_probes: int = 3


class Call:
    """One open call; hand it back to `ended`."""

    __slots__ = ("begun_s", "probe")

    def __init__(self, begun_s: float, *, probe: bool) -> None:
        self.begun_s = begun_s
        self.probe = probe


@dataclass(slots=True)
class _Second:
    """The calls that ended within one second."""

    begun_s: float
    good: int = 0
    bad: int = 0


class Breaker:
    """One provider's, in one process. Not shared between threads.

    now: monotonic seconds. can_fail_over: whether another provider can take over now. opened,
    closed: called when it opens, with the reason, and when it closes.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        limits: Limits | None = None,
        can_fail_over: Callable[[], bool] = lambda: False,
        opened: Callable[[Ending], None] = lambda _: None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._now = now
        self._limits = limits or Limits()
        self._can_fail_over = can_fail_over
        self._opened = opened
        self._closed = closed
        self._seconds: deque[_Second] = deque()
        self._good = self._bad = 0
        self._row = self._refused = 0
        self._last_bad_s = self._last_good_s = self._last_answer_s = -math.inf
        self._under_way: dict[int, Call] = {}
        self._open_until_s: float | None = None
        self._cooldown_s = self._limits.cooldown_s
        self._next_probe_s = 0.0
        self._good_probes = 0

    @property
    def state(self) -> State:
        if self._open_until_s is None:
            return State.CLOSED
        return State.OPEN if self._now() < self._open_until_s else State.HALF_OPEN

    @property
    def slow_s(self) -> float:
        return self._limits.slow_s

    def wait_s(self, *, urgent: bool = False) -> float:
        """Seconds until a call may go; 0 when one may now.

        urgent: it may go as a probe during the cooldown, which costs one refusal at worst where the
        message can go nowhere else.
        """
        now = self._now()
        if self._open_until_s is None:
            return 0.0
        cooldown_s = 0.0 if urgent else self._open_until_s - now
        return max(0.0, cooldown_s, self._next_probe_s - now)

    def begin(self, *, urgent: bool = False) -> Call | None:
        """Begin a call; None when it must not go. Every call begun must be `ended`."""
        self.count_hanging()
        if self.wait_s(urgent=urgent) > 0:
            return None
        now = self._now()
        probe = self._open_until_s is not None
        if probe:
            self._next_probe_s = now + self._limits.probe_every_s
        call = Call(now, probe=probe)
        self._under_way[id(call)] = call
        return call

    def ended(self, call: Call, ending: Ending) -> None:
        """Record how a call ended."""
        now = self._now()
        # A call that hung was counted as bad while it hung.
        counted = self._under_way.pop(id(call), None) is None
        if ending is Ending.NOTHING:
            if call.probe and not counted:
                self._next_probe_s = now
            return
        if ending is Ending.GOOD:
            self._last_answer_s = now
            if now - call.begun_s > self._limits.slow_s and self._can_fail_over():
                ending = Ending.BAD
            else:
                self._last_good_s = now
                self._row = self._refused = 0
        if not counted:
            self._learn(now, call, ending)

    def silent_since(self, call: Call) -> bool:
        """True when this call hangs and the provider has answered none since it began."""
        return self._last_answer_s < call.begun_s <= self._now() - self._limits.slow_s

    def count_hanging(self) -> None:
        """Count hanging calls as bad: a silent provider must not block every window."""
        if not self._under_way or not self._can_fail_over():
            return
        now = self._now()
        while self._under_way:
            key, call = next(iter(self._under_way.items()))
            if now - call.begun_s <= self._limits.slow_s:
                return
            del self._under_way[key]
            self._learn(now, call, Ending.BAD)

    def cool_down(self, for_s: float) -> None:
        """Open for this long, because another worker's breaker opened.

        A provider that answered this process a moment ago works: then the fault is that worker's
        connection.
        """
        now = self._now()
        if self._open_until_s is None and for_s > 0 and now - self._last_good_s > FRESH_S:
            self._good_probes = 0
            self._open_until_s = now + min(for_s, self._limits.cooldown_max_s)

    def end_cooldown(self) -> None:
        """Half-open now, because another worker found that the provider works."""
        if self._open_until_s is not None:
            self._open_until_s = min(self._open_until_s, self._now())

    def _learn(self, now: float, call: Call, ending: Ending) -> None:
        if call.probe:
            if self._open_until_s is not None:
                self._probed(now, ending)
            return
        good = ending is Ending.GOOD
        self._note(now, good=good)
        if good:
            return
        if now - self._last_bad_s > self._limits.row_s:
            self._row = self._refused = 0
        self._last_bad_s = now
        self._row += 1
        self._refused += ending is Ending.REFUSED_US
        if self._open_until_s is None and self._too_bad(now):
            self._open(now, ending)

    def _too_bad(self, now: float) -> bool:
        limits = self._limits
        if self._refused * 2 >= limits.few or self._row >= limits.many:
            return True
        if self._row >= limits.few and now - self._last_good_s >= limits.slow_s:
            return True
        total = self._good + self._bad
        return total >= limits.many and self._bad >= limits.bad_share * total

    def _note(self, now: float, *, good: bool) -> None:
        while self._seconds and self._seconds[0].begun_s < now - self._limits.window_s:
            past = self._seconds.popleft()
            self._good -= past.good
            self._bad -= past.bad
        if not self._seconds or now - self._seconds[-1].begun_s >= 1:
            self._seconds.append(_Second(now))
        last = self._seconds[-1]
        last.good += good
        last.bad += not good
        self._good += good
        self._bad += not good

    def _forget(self) -> None:
        self._seconds.clear()
        self._good = self._bad = self._row = self._refused = 0

    def _probed(self, now: float, ending: Ending) -> None:
        if ending is not Ending.GOOD:
            # An urgent probe during the cooldown says nothing about how long that should be.
            if self.state is State.HALF_OPEN:
                self._open(now, ending)
            return
        self._next_probe_s = now
        self.end_cooldown()
        self._good_probes += 1
        if self._good_probes >= self._limits.good_probes:
            self._open_until_s = None
            self._cooldown_s = self._limits.cooldown_s
            self._forget()
            self._closed()

    def _open(self, now: float, why: Ending) -> None:
        cooldown_s = self._cooldown_s
        if why is Ending.REFUSED_US:
            cooldown_s = max(cooldown_s, self._limits.refused_cooldown_s)
        self._open_until_s = now + cooldown_s
        self._next_probe_s = now + self._limits.probe_every_s
        self._cooldown_s = min(self._limits.cooldown_max_s, self._cooldown_s * 2)
        self._good_probes = 0
        self._forget()
        self._opened(why)
