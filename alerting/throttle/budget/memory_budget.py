"""The budget in this process's memory: the reference implementation of the rules, and the fallback.

The replay uses it with a simulated clock; it also replaces Redis while that is unavailable, when
each process counts for itself.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence

from alerting.throttle.budget import (
    BUCKET,
    DAY_S,
    HIGH_PRIORITY,
    LONGEST_WAIT_S,
    REMEMBERED_S,
    Answer,
    Ask,
    Limits,
    class_of,
)
from alerting.throttle.budget.budget_rules import ADMIT, RECORD_BYTES, UNTOUCHED, Rules, paid_off_at
from alerting.throttle.budget.wire import answer_of

#: Expired entries are kept for this much longer, so that a clock that steps back still finds them.
_SLACK_S = DAY_S

#: A bucket that was not asked for in this time holds only expired entries.
_IDLE_S = LONGEST_WAIT_S + 5 * DAY_S

#: A bucket with this many occasions is searched for expired ones.
_MANY = 4

#: Approximate sizes of an empty bucket and an empty occasion.
_BUCKET_BYTES = 2_700
_OCCASION_BYTES = 500


class _Occasion:
    """The answers given under one occasion (see Budget.ask), by record number.

    Args:
        at: When the last one was new.
    """

    __slots__ = ("at", "verdicts")

    def __init__(self, at: int) -> None:
        self.at = at
        self.verdicts = array("H")


class _Bucket:
    """What is stored of BUCKET citizens: 16 bytes for each that was asked for, 2 for each answer.

    numbers: by a citizen's position in the bucket, the number of their record from 1; 0 for none.
    """

    __slots__ = ("asked_at", "look_at", "numbers", "occasions", "records")

    def __init__(self) -> None:
        self.numbers = array("H", bytes(2 * BUCKET))
        self.records = bytearray()
        self.occasions: dict[str, _Occasion] = {}
        self.asked_at = 0
        self.look_at = _MANY

    def __len__(self) -> int:
        verdicts = sum(len(o.verdicts) - o.verdicts.count(0) for o in self.occasions.values())
        return len(self.records) // RECORD_BYTES + verdicts

    @property
    def size(self) -> int:
        """Its bytes, roughly."""
        verdicts = sum(_OCCASION_BYTES + 2 * len(o.verdicts) for o in self.occasions.values())
        return _BUCKET_BYTES + len(self.records) + verdicts

    def drop_what_is_over(self, now: int) -> None:
        """Keep the remembered occasions, and the records with debts or with an answer in one of
        these."""
        oldest, paid = now - REMEMBERED_S - _SLACK_S, now - _SLACK_S
        kept = {name: o for name, o in self.occasions.items() if o.at > oldest}
        old, self.records = self.records, bytearray()
        before = {name: o.verdicts for name, o in kept.items()}
        for o in kept.values():
            o.verdicts = array("H")
        for place, number in enumerate(self.numbers):
            if not number:
                continue
            record = bytes(old[_span(number)])
            said = {
                name: verdicts[number - 1]
                for name, verdicts in before.items()
                if number <= len(verdicts) and verdicts[number - 1]
            }
            self.numbers[place] = 0
            if said or paid_off_at(record) > paid:
                self.records += record
                self.numbers[place] = count = len(self.records) // RECORD_BYTES
                for name, verdict in said.items():
                    _put(kept[name].verdicts, count, verdict)
        self.occasions = kept
        self.look_at = max(_MANY, 2 * len(kept))


class MemoryBudget:
    """The rules in plain Python, for one process. Not thread-safe.

    Expired entries, day-old answers and paid-off budgets are removed, so memory follows the traffic
    of a few days.

    Args:
        now: Seconds from any origin; fractions are ignored.
        most_bytes: The approximate limit; None for no limit. Above it the buckets least recently
            asked for are removed, each with all its budgets and answers at once: these citizens
            count as if nothing had ever come. So a citizen is refused only for what they were sent,
            and what is removed withholds no message; it may admit one that full memory had refused.
    """

    def __init__(self, now: Callable[[], float], *, most_bytes: int | None = None) -> None:
        self._now = now
        self._most_bytes = math.inf if most_bytes is None else most_bytes
        self._began_at: int | None = None
        #: The least recently asked for first.
        self._buckets: OrderedDict[int, _Bucket] = OrderedDict()
        self._bytes = 0

    async def ask(
        self,
        occasion: str,
        asks: Sequence[Ask],
        limits: Limits,
        *,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        """See Budget.ask. Never waits and never raises Unavailable."""
        return self.decide(occasion, asks, limits)

    def decide(self, occasion: str, asks: Sequence[Ask], limits: Limits) -> list[Answer]:
        """The same, at once."""
        now = self._seconds()
        rules = Rules(limits, now)
        most_severe: dict[int, int] = {}
        for ask in asks:
            kind = class_of(ask.severity)
            most_severe[ask.citizen_id] = min(kind, most_severe.get(ask.citizen_id, kind))
        answers: dict[int, Answer] = {}
        at: int | None = None
        for citizen_id, kind in most_severe.items():
            if citizen_id // BUCKET != at:
                at = citizen_id // BUCKET
                bucket = self._bucket(at, now)
                said = self._said(bucket, occasion, now)
            number = bucket.numbers[citizen_id % BUCKET] or self._add(bucket, citizen_id % BUCKET)
            verdicts = said.verdicts
            verdict = verdicts[number - 1] if number <= len(verdicts) else 0
            if not verdict or (kind == HIGH_PRIORITY and verdict != ADMIT):
                verdict, after = rules.evaluate(kind, bytes(bucket.records[_span(number)]))
                bucket.records[_span(number)] = after
                self._bytes += 2 * _put(verdicts, number, verdict)
                said.at = now
            answers[citizen_id] = answer_of(verdict)
        return [answers[ask.citizen_id] for ask in asks]

    def __len__(self) -> int:
        """How many budgets and verdicts are kept."""
        return sum(map(len, self._buckets.values()))

    def _seconds(self) -> int:
        now = math.floor(self._now())
        if self._began_at is None:
            self._began_at = now
        return now - self._began_at

    def _bucket(self, at: int, now: int) -> _Bucket:
        """The bucket of this number, once room was made for it."""
        found = self._buckets.get(at)
        if found is None:
            found = self._buckets[at] = _Bucket()
            self._bytes += found.size
        else:
            self._buckets.move_to_end(at)
        found.asked_at = now
        while len(self._buckets) > 1:
            oldest = next(iter(self._buckets))
            idle = self._buckets[oldest].asked_at <= now - _IDLE_S
            if not idle and self._bytes <= self._most_bytes:
                break
            self._bytes -= self._buckets.pop(oldest).size
        return found

    def _said(self, bucket: _Bucket, name: str, now: int) -> _Occasion:
        """The answers already given to citizens of a bucket under the occasion `name`."""
        found = bucket.occasions.get(name)
        if found is not None and now - found.at < REMEMBERED_S:
            return found
        self._bytes -= bucket.size
        if len(bucket.occasions) >= bucket.look_at:
            bucket.drop_what_is_over(now)
        found = bucket.occasions[name] = _Occasion(now)
        self._bytes += bucket.size
        return found

    def _add(self, bucket: _Bucket, place: int) -> int:
        """The number of the record for a citizen who has none yet."""
        bucket.records += UNTOUCHED
        self._bytes += RECORD_BYTES
        bucket.numbers[place] = number = len(bucket.records) // RECORD_BYTES
        return number


def _span(number: int) -> slice:
    """The position of a record in its bucket."""
    return slice((number - 1) * RECORD_BYTES, number * RECORD_BYTES)


def _put(verdicts: array[int], number: int, verdict: int) -> int:
    """Store one answer; returns by how many entries the array grew for it."""
    grown = max(0, number - len(verdicts))
    if grown:
        verdicts.frombytes(bytes(2 * grown))
    verdicts[number - 1] = verdict
    return grown
