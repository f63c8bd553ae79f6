"""The protocol of budget.lua: questions in packed calls, answers of two bytes."""

from __future__ import annotations

import hashlib
import math
import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from alerting.errors import Unavailable
from alerting.throttle.budget import ADMITTED, BUCKET, WAIT_UNIT_S, Answer, Limits, Window

#: The citizens of one shard are in one slot of a cluster; a script stays within one shard.
SHARD = 1_000_000

#: A script that answers for more would block others for too long.
CALL = 1_000

#: A span is citizens of one bucket whose records are read and written in one piece, because at most
#: this many others are between one and the next.
GAP = 32

#: Most of a script's time goes into its spans; this many take one to two milliseconds.
SPANS = 200

#: 2025-01-01T00:00:00Z, the origin of the stored seconds.
EPOCH = 1_735_689_600

_NOT_OURS = "Redis gave the budget an answer that its script never gives."


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the script: its keys, its questions, and whom the replies are for."""

    keys: list[str]
    questions: bytes
    citizen_ids: list[int]

    def words(self, figures: bytes) -> list[str | bytes]:
        """The arguments of EVALSHA after the number of keys."""
        return [*self.keys, figures, self.questions]


def plan(occasion: str, kinds: dict[int, int]) -> Iterator[Call]:
    """The calls that evaluate these citizens, given with their classes."""
    name = urlsafe_b64encode(hashlib.blake2b(occasion.encode(), digest_size=12).digest()).decode()
    ordered = sorted(kinds)
    keys: list[str] = []
    words: list[int] = []
    start = spans = bucket_at = span_at = 0
    shard = bucket = None
    last = 0
    for n, citizen_id in enumerate(ordered):
        if citizen_id - last > GAP or citizen_id // BUCKET != bucket or n - start >= CALL:
            if citizen_id // SHARD != shard or spans >= SPANS or n - start >= CALL:
                if words:
                    yield _call(keys, words, ordered[start:n])
                keys, words, start, spans = [], [], n, 0
                shard, bucket = citizen_id // SHARD, None
            if citizen_id // BUCKET != bucket:
                bucket = citizen_id // BUCKET
                # Both tagged by the shard, so that a cluster stores them in one slot.
                keys.append(f"alerting:{{budget-{shard}}}:{bucket}")
                keys.append(f"alerting:{{budget-{shard}}}:{bucket}:{name}")
                bucket_at = len(words)
                words.append(0)
            words[bucket_at] += 1
            spans += 1
            span_at = len(words)
            words.append(0)
        words[span_at] += 1
        words.append(kinds[citizen_id] * 1024 + citizen_id % BUCKET)
        last = citizen_id
    yield _call(keys, words, ordered[start:])


def _call(keys: list[str], words: list[int], citizen_ids: list[int]) -> Call:
    return Call(keys, struct.pack(f"<{len(words)}H", *words), citizen_ids)


def read_reply(reply: object, call: Call) -> list[Answer]:
    """The answers for the call's citizens, in order.

    Raises:
        Unavailable: For a reply that the script never gives.
    """
    count = len(call.citizen_ids)
    if not isinstance(reply, bytes) or len(reply) != 2 * count:
        raise Unavailable(_NOT_OURS)
    return [answer_of(number) for number in struct.unpack(f"<{count}H", reply)]


@cache
def answer_of(number: int) -> Answer:
    """The answer for a number.

    Raises:
        Unavailable: For 0, which is no answer.
    """
    if number == 1:
        return ADMITTED
    if number == 0:
        raise Unavailable(_NOT_OURS)
    window = Window.DAY if number % 2 else Window.HOUR
    return Answer(False, window, number // 2 * WAIT_UNIT_S)


@lru_cache(maxsize=64)
def _limit_figures(limits: Limits) -> bytes:
    """The limits as the script needs them."""
    rooms = [(c.at_once - 1) * limits.spacing_s for c in limits.classes]
    days = [f for c in limits.classes for f in (c.day_step_s, c.day_window_s, c.day_room_s)]
    life = limits.longest_window_s
    figures = [life, limits.spacing_s, limits.spacing_window_s, *rooms, *days]
    return struct.pack(f"<{len(figures)}I", *figures)


def pack_figures(limits: Limits, now_s: float | None) -> bytes:
    """The script's first argument. `now_s` None uses the server's clock."""
    now = 0 if now_s is None else (math.floor(now_s) - EPOCH) % (1 << 32)
    return struct.pack("<2I", now_s is not None, now) + _limit_figures(limits)
