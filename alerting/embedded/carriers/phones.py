"""What the phones show: the last messages of the phones seen last, in bounded memory."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from alerting.embedded.carriers.identity import Carrier
from alerting.embedded.carriers.received import Received

#: Phones that have a place on the page before anyone searches.
FRONT = 8
#: Messages of each kind a phone keeps on its screen.
_KEPT = 12
#: Phones kept; the one that has been silent longest makes room.
_PHONES = 25_000
#: Texts kept once, however many phones show them.
_TEXTS = 512

# The synthetic citizens' addresses: number +999…N, mail cN@example.org, subscription cN.
_SYNTHETIC = re.compile(r"\+999(?P<number>\d{9})|c(?P<name>\d{1,9})(?:@example\.org)?")


def phone_of(to: str) -> str:
    """Whose screen a message lands on: one of the synthetic citizens, whose number, mailbox and
    subscription share their phone, or else the address itself."""
    match = _SYNTHETIC.fullmatch(to)
    if match is None:
        return to
    return f"+999{int(match['number'] or match['name']):09d}"


@dataclass(slots=True, eq=False)
class Phone:
    """One screen, newest first. `changed` counts up with every message of any phone."""

    id: str
    changed: int = 0
    sms: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    email: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    push: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    replaced: Counter[str] = field(default_factory=Counter)
    newest: Received | None = None

    def put(self, message: Received) -> None:
        self.newest = message
        if message.channel == "push":
            self._replace(message)
        stack: deque[Received] = getattr(self, message.channel)
        stack.appendleft(message)

    def _replace(self, message: Received) -> None:
        """A notification takes the place of the one with its tag (Notifications API §2.9)."""
        if not message.tag:
            return
        for shown in self.push:
            if shown.tag == message.tag:
                self.push.remove(shown)
                self.replaced[message.tag] += 1
                return
        self.replaced.pop(message.tag, None)


class Phones:
    """All screens, and the counters of each carrier. Bound to one event loop."""

    def __init__(self) -> None:
        self.accepted: Counter[Carrier] = Counter()
        self.refused: Counter[Carrier] = Counter()
        self.version = 0
        self.cleared = 0
        self._phones: OrderedDict[str, Phone] = OrderedDict()
        self._front: dict[str, Phone] = {}
        self._texts: dict[str, str] = {}
        self._meter = _Meter()
        self._waiting: list[asyncio.Future[None]] = []

    def show(self, message: Received) -> None:
        """Put a message on its phone's screen and wake whoever watches."""
        self.accepted[message.channel] += 1
        self._meter.count()
        self.version += 1
        name = phone_of(message.to)
        phone = self._phones.get(name)
        if phone is None:
            phone = self._phones[name] = Phone(name)
            if len(self._front) < FRONT:
                self._front[name] = phone
            if len(self._phones) > _PHONES:
                self._make_room()
        else:
            self._phones.move_to_end(name)
        phone.put(message)
        phone.changed = self.version
        self.wake()

    def refuse(self, carrier: Carrier) -> None:
        """Count a message that was not taken."""
        self.refused[carrier] += 1
        self.version += 1
        self.wake()

    def keep(self, text: str) -> str:
        """The same text as one object: an alert reaches thousands of phones with few texts."""
        kept = self._texts.get(text)
        if kept is None:
            if len(self._texts) >= _TEXTS:
                self._texts.clear()
            kept = self._texts[text] = text
        return kept

    def clear(self) -> None:
        """Wipe every screen and counter; the logs stay."""
        self._phones.clear()
        self._front.clear()
        self._texts.clear()
        self.accepted.clear()
        self.refused.clear()
        self._meter = _Meter()
        self.version += 1
        self.cleared = self.version
        self.wake()

    @property
    def rate(self) -> int:
        """Messages accepted in the last second."""
        return self._meter.rate()

    @property
    def peak(self) -> int:
        """The most accepted in any second."""
        return self._meter.peak

    @property
    def front(self) -> Iterable[Phone]:
        """The first phones that received anything, in that order."""
        return self._front.values()

    @property
    def count(self) -> int:
        return len(self._phones)

    def get(self, name: str) -> Phone | None:
        """The phone of exactly this name, where it has heard something lately."""
        return self._phones.get(name)

    def find(self, wanted: str, *, most: int = 4) -> list[Phone]:
        """Phones whose number or address is `wanted`, else ends with it, else contains it."""
        wanted = wanted.strip().lower()
        if not wanted:
            return []
        exact = self._phones.get(phone_of(wanted))
        if exact is not None:
            return [exact]
        for matches in (str.endswith, str.__contains__):
            found = (p for name, p in self._phones.items() if matches(name.lower(), wanted))
            if phones := list(islice(found, most)):
                return phones
        return []

    async def changed(self, since: int, timeout_s: float) -> None:
        """Return when something came after `since`, or after `timeout_s`."""
        if self.version > since:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _make_room(self) -> None:
        """Forget the phone silent longest, but none of those the page always shows."""
        for name in self._phones:
            if name not in self._front:
                del self._phones[name]
                return

    def wake(self) -> None:
        """Let whoever waits for a change go on."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class _Meter:
    """Counts in tenths of a second, so that a second's figure is fresh ten times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._tenths = [0] * 11
        self._now = 0

    def count(self) -> None:
        self._turn()
        self._tenths[self._now % 11] += 1

    def rate(self) -> int:
        """Over the last ten whole tenths; the one that runs is left out."""
        self._turn()
        return sum(self._tenths) - self._tenths[self._now % 11]

    def _turn(self) -> None:
        now = int(time.monotonic() * 10)
        if now == self._now:
            return
        # The tenth that has just ended is whole now, and the one it lies opposite is too old.
        self._tenths[(self._now + 1) % 11] = 0
        self.peak = max(self.peak, sum(self._tenths))
        for tenth in range(max(self._now + 1, now - 10), now + 1):
            self._tenths[tenth % 11] = 0
        self._now = now
