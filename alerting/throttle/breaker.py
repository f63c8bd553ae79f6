"""Breaker: when a provider is to be left alone, told by how its calls end and how long they take.

Closed, every call goes. Open, none does, for a rest that doubles each time it was of no use. Half
open, one call a second goes as a probe; enough good ones close it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class Ending(Enum):
    """How a call ended, as far as it tells something about the provider."""

    #: It answered, whatever it said of the message.
    GOOD = auto()
    #: It failed, could not be reached, or broke off.
    BAD = auto()
    #: It refuses us: credentials, sender, configuration. Waiting alone does not mend that.
    REFUSED_US = auto()
    #: Nothing learnt: it was too fast for it, or no call was made.
    NOTHING = auto()


class State(Enum):
    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """When to open and for how long.

    window_s: how far back calls count. few, many: it opens with `few` bad calls and no good one,
    and with `many` calls when a share of `bad_share` is bad; never by one call alone, which may be
    about its message. slow_s: a call that takes longer counts as bad, and does so while it still
    hangs. rest_s, rest_max_s: the first and the longest rest. refused_rest_s: the least rest where
    it refuses us. probe_every_s: between probes. good_probes: so many close it.
    """

    window_s: float = 10.0
    few: int = 5
    many: int = 20
    bad_share: float = 0.5
    slow_s: float = 3.0
    rest_s: float = 2.0
    rest_max_s: float = 60.0
    refused_rest_s: float = 30.0
    probe_every_s: float = 1.0
    good_probes: int = 3


class Call:
    """One call under way; hand it back to `ended`."""

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
    """One provider's, in one process. now: seconds that only go forward.

    Not shared between threads. Set `opened` and `closed` to hear of it: opened is told why.
    """

    def __init__(self, now: Callable[[], float], *, limits: Limits | None = None) -> None:
        self._now = now
        self._limits = limits or Limits()
        self.opened: Callable[[Ending], None] = lambda _: None
        self.closed: Callable[[], None] = lambda: None
        self._seconds: deque[_Second] = deque()
        self._good = self._bad = 0
        self._under_way: dict[int, Call] = {}
        self._open_until_s: float | None = None
        self._rest_s = self._limits.rest_s
        self._next_probe_s = 0.0
        self._good_probes = 0

    @property
    def state(self) -> State:
        if self._open_until_s is None:
            return State.CLOSED
        return State.OPEN if self._now() < self._open_until_s else State.HALF_OPEN

    @property
    def rest_s(self) -> float:
        """Seconds until a call may go; 0 when one may now."""
        match self.state:
            case State.CLOSED:
                return 0.0
            case State.OPEN:
                return (self._open_until_s or 0.0) - self._now()
            case State.HALF_OPEN:
                return max(0.0, self._next_probe_s - self._now())

    def begin(self) -> Call | None:
        """A call that goes now; None when it must not. Every call begun must be `ended`."""
        now = self._now()
        self._see_slow(now)
        if self.rest_s > 0:
            return None
        probe = self.state is State.HALF_OPEN
        if probe:
            self._next_probe_s = now + self._limits.probe_every_s
        call = Call(now, probe=probe)
        self._under_way[id(call)] = call
        return call

    def ended(self, call: Call, ending: Ending) -> None:
        """Note how a call ended."""
        now = self._now()
        # A call that hung was counted as bad when it was seen to hang.
        counted = self._under_way.pop(id(call), None) is None
        if ending is Ending.NOTHING:
            if call.probe:
                self._next_probe_s = now
            return
        slow = now - call.begun_s > self._limits.slow_s
        ending = Ending.BAD if ending is Ending.GOOD and slow else ending
        if call.probe and self.state is not State.CLOSED:
            self._probed(now, ending)
        elif not counted:
            self._count(now, ending)

    def stay_open(self, for_s: float) -> None:
        """Open, or stay so, because another worker found it ill."""
        if self.state is State.CLOSED and for_s > 0:
            self._good_probes = 0
            self._open_until_s = self._now() + for_s

    def _see_slow(self, now: float) -> None:
        """Count what hangs: a provider that answers nothing must not take every window with it."""
        while self._under_way:
            key, call = next(iter(self._under_way.items()))
            if now - call.begun_s <= self._limits.slow_s:
                return
            del self._under_way[key]
            if call.probe:
                self._probed(now, Ending.BAD)
            else:
                self._count(now, Ending.BAD)

    def _count(self, now: float, ending: Ending) -> None:
        good = ending is Ending.GOOD
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
        total = self._good + self._bad
        none_good = not self._good and self._bad >= self._limits.few
        too_many = total >= self._limits.many and self._bad >= self._limits.bad_share * total
        if self.state is State.CLOSED and (none_good or too_many):
            self._open(now, ending)

    def _forget(self) -> None:
        self._seconds.clear()
        self._good = self._bad = 0

    def _probed(self, now: float, ending: Ending) -> None:
        if ending is not Ending.GOOD:
            self._open(now, ending)
            return
        self._next_probe_s = now
        self._good_probes += 1
        if self._good_probes >= self._limits.good_probes:
            self._open_until_s = None
            self._rest_s = self._limits.rest_s
            self._forget()
            self.closed()

    def _open(self, now: float, why: Ending) -> None:
        rest_s = self._rest_s
        if why is Ending.REFUSED_US:
            rest_s = max(rest_s, self._limits.refused_rest_s)
        self._open_until_s = max(self._open_until_s or 0.0, now + rest_s)
        self._rest_s = min(self._limits.rest_max_s, self._rest_s * 2)
        self._good_probes = 0
        self._forget()
        self.opened(why)
