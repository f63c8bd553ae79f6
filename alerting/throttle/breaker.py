"""Breaker: when a provider is to be left alone, told by how its calls end and how long they take.

Closed, every call goes. Open, none does, for a rest that doubles each time it was of no use. Half
open, one call a second goes as a probe; enough good ones close it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

#: A good answer says for so long that a provider is well.
FRESH_S = 1.0


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
    """When to open and for how long. Never by one call alone, which may be about its message.

    few: so many bad calls in a row open it when nothing good came for `slow_s`; half as many do
    when they refuse us. A row is forgotten `row_s` after its last call, so that a centre that sends
    three messages an hour learns too. many: so many in a row open it at once, and so many within
    `window_s` do when a share of `bad_share` is bad.

    slow_s: a call that takes longer counts as bad, and does so while it still hangs; only while
    another provider could take over, since a slow one is better than none.

    rest_s, rest_max_s: the first and the longest rest. refused_rest_s: the least rest where it
    refuses us. probe_every_s: between probes. good_probes: so many close it.
    """

    window_s: float = 10.0
    row_s: float = 300.0
    few: int = 5
    many: int = 20
    bad_share: float = 0.5
    slow_s: float = 3.0
    rest_s: float = 2.0
    rest_max_s: float = 60.0
    refused_rest_s: float = 15.0
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

    Not shared between threads. Set `opened` and `closed` to hear of it (opened is told why), and
    `spare` to say whether another provider could take over now.
    """

    def __init__(self, now: Callable[[], float], *, limits: Limits | None = None) -> None:
        self._now = now
        self._limits = limits or Limits()
        self.opened: Callable[[Ending], None] = lambda _: None
        self.closed: Callable[[], None] = lambda: None
        self.spare: Callable[[], bool] = lambda: False
        self._seconds: deque[_Second] = deque()
        self._good = self._bad = 0
        self._row = self._refused = 0
        self._last_bad_s = self._last_good_s = self._last_answer_s = -math.inf
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
    def slow_s(self) -> float:
        return self._limits.slow_s

    def wait_s(self, *, urgent: bool = False) -> float:
        """Seconds until a call may go; 0 when one may now.

        urgent: it may go as a probe though the rest is not over, which costs one refusal at worst
        where the message can go nowhere else.
        """
        now = self._now()
        if self._open_until_s is None:
            return 0.0
        rest_s = 0.0 if urgent else self._open_until_s - now
        return max(0.0, rest_s, self._next_probe_s - now)

    def begin(self, *, urgent: bool = False) -> Call | None:
        """A call that goes now; None when it must not. Every call begun must be `ended`."""
        self.see_slow()
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
        """Note how a call ended."""
        now = self._now()
        # A call that hung was counted as bad when it was seen to hang.
        counted = self._under_way.pop(id(call), None) is None
        if ending is Ending.NOTHING:
            if call.probe and not counted:
                self._next_probe_s = now
            return
        if ending is Ending.GOOD:
            self._last_answer_s = now
            if now - call.begun_s > self._limits.slow_s and self.spare():
                ending = Ending.BAD
            else:
                self._last_good_s = now
                self._row = self._refused = 0
        if not counted:
            self._learn(now, call, ending)

    def silent_since(self, call: Call) -> bool:
        """True when the provider has answered no call since this one began, which hangs."""
        return self._last_answer_s < call.begun_s <= self._now() - self._limits.slow_s

    def see_slow(self) -> None:
        """Count what hangs: a provider that answers nothing must not take every window with it."""
        if not self._under_way or not self.spare():
            return
        now = self._now()
        while self._under_way:
            key, call = next(iter(self._under_way.items()))
            if now - call.begun_s <= self._limits.slow_s:
                return
            del self._under_way[key]
            self._learn(now, call, Ending.BAD)

    def rest(self, for_s: float) -> None:
        """Leave the provider alone for so long, because another worker found it ill.

        What answered this process a moment ago is not ill: then the fault is that worker's way.
        """
        now = self._now()
        if self._open_until_s is None and for_s > 0 and now - self._last_good_s > FRESH_S:
            self._good_probes = 0
            self._open_until_s = now + min(for_s, self._limits.rest_max_s)

    def try_now(self) -> None:
        """End the rest, because another worker found the provider well."""
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
            # An urgent probe during the rest says nothing about how long the rest should be.
            if self.state is State.HALF_OPEN:
                self._open(now, ending)
            return
        self._next_probe_s = now
        self.try_now()
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
        self._open_until_s = now + rest_s
        self._next_probe_s = now + self._limits.probe_every_s
        self._rest_s = min(self._limits.rest_max_s, self._rest_s * 2)
        self._good_probes = 0
        self._forget()
        self.opened(why)
