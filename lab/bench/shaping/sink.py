"""A provider to be paced towards: takes datagrams, notes when each arrived, and may say 429.

Arrivals are timed by the kernel, so that what is measured is when the workers sent and not when
this process came to read it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

ASK = struct.Struct("<BBI")
ANSWER = struct.Struct("<IBf")

#: `struct timespec` of when the kernel got it; where the option is unknown, reading is timed.
_TIMESTAMPS = 35
_TIMESPEC = struct.Struct("@ll")


@dataclass(frozen=True, slots=True)
class Phase:
    """What the provider takes from `at_s` on: `limit` a second, above it 429 and its wish."""

    at_s: float
    limit: float = float("inf")
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One send: seconds since the first of all, from and for whom, and whether it was taken."""

    at_s: float
    worker: int
    tenant: int
    taken: bool


def listen(answer: Connection, phases: Sequence[Phase]) -> None:
    """A process that sends its port, serves until it is asked to end, and sends all arrivals."""
    found: list[tuple[float, tuple[int, int, bool]]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        with contextlib.suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        own.bind(("127.0.0.1", 0))
        own.settimeout(0.2)
        answer.send(own.getsockname()[1])
        _serve(own, answer, deque(phases), found)
    first = found[0][0] if found else 0.0
    answer.send([Arrival(at - first, *rest) for at, rest in found])


def _serve(
    own: socket.socket,
    ended: Connection,
    phases: deque[Phase],
    found: list[tuple[float, tuple[int, int, bool]]],
) -> None:
    phase = Phase(0)
    taken: deque[float] = deque()
    while not ended.poll():
        try:
            data, more, _, sender = own.recvmsg(64, 64)
        except TimeoutError:
            continue
        at = _arrived(more)
        since = at - found[0][0] if found else 0.0
        while phases and phases[0].at_s <= since:
            phase = phases.popleft()
        while taken and taken[0] <= at - 1:
            taken.popleft()
        good = len(taken) + 1 <= phase.limit
        if good:
            taken.append(at)
        worker, tenant, number = ASK.unpack(data)
        own.sendto(ANSWER.pack(number, good, phase.retry_after_s), sender)
        found.append((at, (worker, tenant, good)))


def _arrived(more: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in more:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()


def most_in_a_second(arrivals: Sequence[Arrival]) -> int:
    """The most in any window of one second, wherever it begins."""
    most = first = 0
    for n, arrival in enumerate(arrivals):
        while arrivals[first].at_s <= arrival.at_s - 1:
            first += 1
        most = max(most, n - first + 1)
    return most
