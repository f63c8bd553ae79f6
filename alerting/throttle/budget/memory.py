"""The budget in this process's memory: the reference of the rules, and the fallback.

It serves the replay with a simulated clock and stands in while Redis is away, when each process
counts for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alerting.throttle.budget import (
    ADMITTED,
    BUCKET,
    DAY_S,
    GRAVE,
    REMEMBERED_S,
    Answer,
    Ask,
    Limits,
    Window,
    class_of,
    refused,
)

#: What is over is kept for this much longer, so that a clock that steps back still finds it.
_SLACK_S = DAY_S

#: Below this many entries nothing is looked through for what is over.
_SMALL = 4_096

#: Before any clock.
_NEVER = -(1 << 62)


@dataclass(slots=True)
class _Record:
    """When each window is paid off: the spacing, then the days of Moderate, Minor, routine."""

    spacing: int = _NEVER
    days: list[int] = field(default_factory=lambda: [_NEVER] * 3)


@dataclass(slots=True)
class _Occasion:
    """The verdicts of one occasion for the citizens of one bucket."""

    at: int
    verdicts: dict[int, Answer] = field(default_factory=dict)


class MemoryBudget:
    """The rules in plain Python, for one process. Not for use by several threads at once.

    now: seconds, from whatever beginning; fractions are ignored. What is over, verdicts a day old
    and budgets paid off, is forgotten, so memory follows the traffic of two days.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._records: dict[int, _Record] = {}
        self._occasions: dict[tuple[str, int], _Occasion] = {}
        self._sweep_at_records = _SMALL
        self._sweep_at_occasions = _SMALL

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
        now = math.floor(self._now())
        self._forget(now)
        gravest: dict[int, int] = {}
        for ask in asks:
            kind = class_of(ask.severity)
            gravest[ask.citizen_id] = min(kind, gravest.get(ask.citizen_id, kind))
        verdicts = {
            citizen_id: self._verdict(occasion, citizen_id, kind, limits, now)
            for citizen_id, kind in gravest.items()
        }
        return [verdicts[ask.citizen_id] for ask in asks]

    def __len__(self) -> int:
        """How many budgets and verdicts are kept."""
        return len(self._records) + sum(len(o.verdicts) for o in self._occasions.values())

    def _verdict(
        self, occasion: str, citizen_id: int, kind: int, limits: Limits, now: int
    ) -> Answer:
        key = (occasion, citizen_id // BUCKET)
        known = self._occasions.get(key)
        if known is None or now - known.at >= REMEMBERED_S:
            known = _Occasion(now)
        verdict = known.verdicts.get(citizen_id)
        if verdict is None or (kind == GRAVE and not verdict.admitted):
            verdict = self._decide(citizen_id, kind, limits, now)
            known.at = now
            known.verdicts[citizen_id] = verdict
            self._occasions[key] = known
        return verdict

    def _decide(self, citizen_id: int, kind: int, limits: Limits, now: int) -> Answer:
        """Judge by the windows, and charge them when admitted."""
        record = self._records.get(citizen_id) or _Record()
        spacing = _debt(record.spacing, now, limits.spacing_window_s)
        days = [
            _debt(tat, now, limit.day_window_s)
            for tat, limit in zip(record.days, limits.classes, strict=True)
        ]
        if kind != GRAVE:
            limit = limits.classes[kind - 1]
            hour_wait = spacing - (limit.at_once - 1) * limits.spacing_s
            day_wait = days[kind - 1] - limit.day_room_s
            if day_wait > 0:
                return refused(Window.DAY, max(day_wait, hour_wait))
            if hour_wait > 0:
                return refused(Window.HOUR, hour_wait)
        record.spacing = now + min(spacing + limits.spacing_s, limits.spacing_window_s)
        for n, limit in enumerate(limits.classes):
            # A lesser message leaves the day of a graver class as it is.
            if n + 1 >= kind:
                record.days[n] = now + min(days[n] + limit.day_step_s, limit.day_window_s)
        self._records[citizen_id] = record
        return ADMITTED

    def _forget(self, now: int) -> None:
        """Drop what is over once as much again has come; so each entry is looked at few times."""
        if len(self._occasions) >= self._sweep_at_occasions:
            oldest = now - REMEMBERED_S - _SLACK_S
            self._occasions = {k: o for k, o in self._occasions.items() if o.at > oldest}
            self._sweep_at_occasions = max(_SMALL, 2 * len(self._occasions))
        if len(self._records) >= self._sweep_at_records:
            paid = now - _SLACK_S
            self._records = {
                k: r for k, r in self._records.items() if max(r.spacing, *r.days) > paid
            }
            self._sweep_at_records = max(_SMALL, 2 * len(self._records))


def _debt(tat: int, now: int, window_s: int) -> int:
    """How far a TAT stands ahead, within its window.

    The bound holds on reading too: a clock that stepped back, or a policy with a shorter window,
    must not leave a citizen waiting for longer than one window.
    """
    return min(max(tat - now, 0), window_s)
