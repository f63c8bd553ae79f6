"""The rules of the budget for one citizen's record, in plain Python."""

from __future__ import annotations

import struct

from alerting.throttle.budget import HIGH_PRIORITY, WAIT_UNIT_S, Limits

#: When each window is paid off: the spacing, then the days of Moderate, Minor and routine.
_RECORD = struct.Struct("<4i")
RECORD_BYTES = _RECORD.size

#: The record of a citizen who was never charged.
UNTOUCHED = _RECORD.pack(*[-(1 << 31)] * 4)

#: An answer's number: 1 admits, others refuse (see wire.answer_of), 0 is none.
ADMIT = 1


class Rules:
    """Evaluates records at one instant by the limits of one policy.

    Args:
        now: Whole seconds from any origin that records share; fewer than 2^31.
    """

    def __init__(self, limits: Limits, now: int) -> None:
        self._now = now
        self._limits = limits
        # Citizens who had the same messages at the same time have equal records, and they are many.
        self._judged: dict[tuple[int, bytes], tuple[int, bytes]] = {}

    def evaluate(self, kind: int, record: bytes) -> tuple[int, bytes]:
        """The answer's number for a message of this class, and the record after it."""
        key = (kind, record)
        found = self._judged.get(key)
        if found is None:
            found = self._judged[key] = self._evaluate(kind, record)
        return found

    def _evaluate(self, kind: int, record: bytes) -> tuple[int, bytes]:
        now, limits = self._now, self._limits
        tats = list(_RECORD.unpack(record))
        spacing = _debt(tats[0], now, limits.spacing_window_s)
        days = [
            _debt(tat, now, limit.day_window_s)
            for tat, limit in zip(tats[1:], limits.classes, strict=True)
        ]
        if kind != HIGH_PRIORITY:
            limit = limits.classes[kind - 1]
            hour_wait = spacing - (limit.at_once - 1) * limits.spacing_s
            day_wait = days[kind - 1] - limit.day_room_s
            if day_wait > 0:
                return _units(max(day_wait, hour_wait)) * 2 + 1, record
            if hour_wait > 0:
                return _units(hour_wait) * 2, record
        tats[0] = now + min(spacing + limits.spacing_s, limits.spacing_window_s)
        for n, limit in enumerate(limits.classes):
            # A less severe message does not touch the day of a more severe class.
            if n + 1 >= kind:
                tats[n + 1] = now + min(days[n] + limit.day_step_s, limit.day_window_s)
        return ADMIT, _RECORD.pack(*tats)


def paid_off_at(record: bytes) -> int:
    """From when on the record equals that of a citizen who was never charged."""
    return int(max(_RECORD.unpack(record)))


def _debt(tat: int, now: int, window_s: int) -> int:
    """How far a TAT is ahead, within its window.

    The bound also applies on reading: a clock that stepped back, or a policy with a shorter window,
    must not make a citizen wait for longer than one window.
    """
    return min(max(tat - now, 0), window_s)


def _units(wait_s: int) -> int:
    return -(-wait_s // WAIT_UNIT_S)
