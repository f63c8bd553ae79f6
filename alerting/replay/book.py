"""Records each delivery of a replay, from its decision to its outcome, wherever it is counted."""

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
#: Space for any outcome, to be overwritten when a wait ends.
_ROOM = max(len(f'"{o}"') for o in (*Outcome, _WAITS))


class Detail:
    """Writes one line of JSON per alert and citizen, in the order of the decisions.

    The outcome of a delivery that waits is written into its line later, so that memory holds one
    number per waiting delivery, however long the file.

    Raises:
        BadInput: When the file cannot be written or is not a regular file.
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
        """Write a delivery's line; without an outcome it waits, and `settled` completes it."""
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
        """Write the outcome of a delivery that waited into its line."""
        self._file.seek(self._waiting.pop(delivery))
        self._file.write(f'"{outcome}"'.ljust(_ROOM).encode())
        self._file.seek(0, 2)


class Book:
    """Passes each decision and outcome to the figures, the oracle and the detail file.

    Args:
        day: Returns the calendar day of an instant, on a citizen's own clock, as a number.
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
        #: Citizens the current alert would have interrupted without a throttle.
        self._would_wake: set[int] = set()
        #: Pairs of alert and citizen interrupted at the current instant.
        self._woken: set[tuple[int, int]] = set()
        self._woken_at: datetime | None = None

    def played(self, alert: Alert, incident: str | None) -> None:
        """Record an alert before any of its deliveries.

        Args:
            incident: What the alert is really about, if known.
        """
        self._would_wake.clear()
        self._oracle.played(alert, incident)

    def judged(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Record a decision, and the outcome when it is carried out at once."""
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
        """Record the outcome of a delivery that waited.

        Args:
            reason: The reason of its last decision.
        """
        if self._detail is not None:
            self._detail.settled(delivery, outcome)
        self._settle(delivery, outcome, at, reason)

    def digest_sent(self, citizen: int, channel: str, most_severe: Severity, at: datetime) -> None:
        """Record a digest; each delivery in it is recorded by itself."""
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
        """True when no other channel has interrupted the citizen for the alert at this instant."""
        if at != self._woken_at:
            self._woken_at = at
            self._woken.clear()
        key = id(delivery.alert), delivery.citizen
        if key in self._woken:
            return False
        self._woken.add(key)
        return True
