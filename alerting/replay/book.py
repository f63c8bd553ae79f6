"""The book of a replay: each delivery, from its decision to its end, told to all who keep count."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from alerting.domain.alert import Alert, Severity
from alerting.errors import BadInput
from alerting.replay.judge.oracle import Oracle
from alerting.replay.replay_delivery import WAKING, Delivery, Outcome
from alerting.replay.result import Figures

_WAITS = "waits"
#: Room for any outcome, so that it can be written over when a wait ends.
_ROOM = max(len(f'"{o}"') for o in (*Outcome, _WAITS))


class Detail:
    """Writes to a file; lines stand in the order the deliveries were judged.

    The outcome of what waits is written into its line when it is known, so that memory holds one
    number for each delivery that waits, however long the file. Raises BadInput where the file
    cannot be written or is no ordinary one.
    """

    def __init__(self, path: Path, names: list[str]) -> None:
        self._names = names
        self._waiting: dict[Delivery, int] = {}
        try:
            self._file = path.open("wb")
            if not self._file.seekable():
                raise BadInput(f"{path} is no ordinary file.", remedy="Name a file for --detail.")
        except OSError as e:
            raise BadInput(
                f"{path} cannot be written: {e.strerror or e}.",
                remedy="Check the path and its rights.",
            ) from e

    def close(self) -> None:
        self._file.close()

    def judged(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Write a delivery's line; where it waits, without an outcome, that follows."""
        alert, info = delivery.alert, delivery.info
        line = json.dumps(
            {
                "identifier": alert.identifier,
                "sender": alert.sender,
                "sent": alert.sent.isoformat(),
                "citizen": self._names[delivery.citizen],
                "area": delivery.concerned.area,
                "channel": delivery.channel,
                "severity": str(delivery.severity),
                "urgency": None if info is None else str(info.urgency),
                "thread": delivery.thread,
                "event": str(delivery.event),
                "decision": delivery.action.name,
                "reason": str(delivery.reason),
                "state_before": delivery.state_before,
                "state_after": delivery.state_after,
                "outcome": str(outcome or ""),
            },
            ensure_ascii=False,
        ).encode()
        if outcome is not None:
            self._file.write(line + b"\n")
            return
        self._file.write(line.removesuffix(b'""}'))
        self._waiting[delivery] = self._file.tell()
        self._file.write(f'"{_WAITS}"'.ljust(_ROOM).encode() + b"}\n")

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write what became of a delivery that waited into its line."""
        self._file.seek(self._waiting.pop(delivery))
        self._file.write(f'"{outcome}"'.ljust(_ROOM).encode())
        self._file.seek(0, 2)


class Book:
    """Keeps figures, oracle and detail in step.

    day: the calendar day of an instant on a citizen's own clock, as a number.
    """

    def __init__(
        self,
        figures: Figures,
        oracle: Oracle,
        detail: Detail | None,
        day: Callable[[int, datetime], int],
    ) -> None:
        self._figures = figures
        self._oracle = oracle
        self._detail = detail
        self._day = day
        #: Whom the alert at hand would have woken.
        self._would_wake: set[int] = set()
        #: Whom an alert has woken at the instant at hand.
        self._woken: set[tuple[int, int]] = set()
        self._woken_at: datetime | None = None

    def played(self, alert: Alert, incident: str | None) -> None:
        """Note an alert before any of its deliveries. incident: what it is about in truth."""
        self._would_wake.clear()
        self._oracle.played(alert, incident)

    def judged(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Note a decision; what it settles at once is settled with its outcome."""
        at = delivery.alert.sent
        rings = delivery.wakes and delivery.citizen not in self._would_wake
        if rings:
            self._would_wake.add(delivery.citizen)
        self._figures.judged(delivery, self._day(delivery.citizen, at), rings=rings)
        self._oracle.judged(delivery)
        if self._detail is not None:
            self._detail.judged(delivery, outcome)
        if outcome is not None:
            self._settle(delivery, outcome, at, str(delivery.reason))

    def settled(self, delivery: Delivery, outcome: Outcome, at: datetime, reason: str) -> None:
        """Note the end of a delivery that waited. reason: of the last decision on it."""
        if self._detail is not None:
            self._detail.settled(delivery, outcome)
        self._settle(delivery, outcome, at, reason)

    def digest_sent(self, citizen: int, channel: str, most_severe: Severity, at: datetime) -> None:
        """Note a digest; each delivery in it is settled on its own."""
        wakes = channel in WAKING
        self._figures.digest_sent(citizen, most_severe, self._day(citizen, at), rings=wakes)
        if wakes:
            self._oracle.digest_sent(citizen, most_severe, at)

    def _settle(self, delivery: Delivery, outcome: Outcome, at: datetime, reason: str) -> None:
        rings = outcome is Outcome.SENT and delivery.wakes and self._first(delivery, at)
        day = self._day(delivery.citizen, at)
        self._figures.settled(delivery, outcome, day, rings=rings)
        self._oracle.settled(delivery, outcome, at, reason)

    def _first(self, delivery: Delivery, at: datetime) -> bool:
        """True where no other channel has woken the citizen for the alert at this instant."""
        if at != self._woken_at:
            self._woken_at = at
            self._woken.clear()
        key = id(delivery.alert), delivery.citizen
        if key in self._woken:
            return False
        self._woken.add(key)
        return True
