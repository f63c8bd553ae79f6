"""The book of a replay: each delivery, from its decision to its end, told to all who keep count."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime

from alerting.domain.alert import Alert, Severity
from alerting.replay.delivery import AT_ONCE, Delivery, Outcome
from alerting.replay.detail import Detail
from alerting.replay.figures import Figures
from alerting.replay.oracle import Oracle


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

    def played(self, alert: Alert) -> None:
        """Note an alert before any of its deliveries."""
        self._oracle.played(alert)

    def judged(self, delivery: Delivery) -> None:
        """Note a decision; what it settles at once is settled with it."""
        at = delivery.alert.sent
        outcome = AT_ONCE.get(delivery.verdict)
        self._figures.judged(delivery, self._day(delivery.citizen, at))
        self._oracle.judged(delivery)
        if self._detail is not None:
            self._detail.judged(delivery, outcome)
        if outcome is not None:
            self._settle(delivery, outcome, at)

    def settled(self, delivery: Delivery, outcome: Outcome, at: datetime) -> None:
        """Note the end of a delivery that waited."""
        if self._detail is not None:
            self._detail.settled(delivery, outcome)
        self._settle(delivery, outcome, at)

    def merged(self, event: Hashable, into: Hashable) -> None:
        """Note that two events have turned out to be one."""
        self._oracle.merged(event, into)

    def digest_sent(self, citizen: int, gravest: Severity, at: datetime) -> None:
        """Note a digest; each delivery in it is settled on its own."""
        self._figures.digest_sent(citizen, gravest, self._day(citizen, at))
        self._oracle.digest_sent(citizen, gravest, at)

    def _settle(self, delivery: Delivery, outcome: Outcome, at: datetime) -> None:
        self._figures.settled(delivery, outcome, self._day(delivery.citizen, at))
        self._oracle.settled(delivery, outcome, at)
