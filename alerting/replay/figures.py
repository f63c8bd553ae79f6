"""What a replay is summed up in: counts, and how often each citizen was interrupted in a day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.domain.alert import Severity
from alerting.domain.decision import Action, Reason
from alerting.replay.delivery import Delivery, Outcome

_COUNTED = {
    Outcome.SENT: "interruptions",
    Outcome.SILENT: "silent",
    Outcome.DIGESTED: "digested",
    Outcome.DROPPED: "dropped",
    Outcome.RECORDED: "dropped",
    Outcome.EXPIRED: "dropped",
    Outcome.SUPERSEDED: "dropped",
}


@dataclass(slots=True)
class Figures:
    """Counts as they come; a citizen's day is a calendar day on their own clock.

    `interruptions` are alerts that interrupted a citizen, by however many channels at one instant,
    and digests, one each; mail interrupts nobody. Every delivery is one of sent, silent, digested
    and dropped; the dropped include what expired or was replaced while it waited.
    """

    messages: int = 0
    not_public: int = 0
    not_sent: int = 0
    late: int = 0
    nobody: int = 0
    unsure: int = 0
    held: int = 0
    deliveries: int = 0
    rung_without_throttle: int = 0
    rung: int = 0
    digests: int = 0
    digests_ringing: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    by_decision: Counter[tuple[Action, Reason]] = field(default_factory=Counter)
    by_severity: dict[Severity, Counter[str]] = field(default_factory=dict)
    _before: Counter[tuple[int, int]] = field(default_factory=Counter)
    _after: Counter[tuple[int, int]] = field(default_factory=Counter)

    def judged(self, delivery: Delivery, day: int, *, rings: bool) -> None:
        """Count a delivery as a dispatcher without a throttle would have made it, on that day.

        rings: it would interrupt its citizen, and no other channel does at that instant.
        """
        self.deliveries += 1
        self.by_decision[(delivery.action, delivery.reason)] += 1
        self._severity(delivery.severity)["deliveries_without_throttle"] += 1
        if rings:
            self.rung_without_throttle += 1
            self._before[(delivery.citizen, day)] += 1

    def settled(self, delivery: Delivery, outcome: Outcome, day: int, *, rings: bool) -> None:
        """Count what became of a delivery."""
        self.outcomes[outcome] += 1
        counted = self._severity(delivery.severity)
        if outcome is not Outcome.SENT:
            counted[_COUNTED[outcome]] += 1
        if rings:
            counted["interruptions"] += 1
            self.rung += 1
            self._after[(delivery.citizen, day)] += 1

    def digest_sent(self, citizen: int, most_severe: Severity, day: int, *, rings: bool) -> None:
        """Count a digest: one interruption, whatever it holds."""
        self.digests += 1
        if not rings:
            return
        self.digests_ringing += 1
        self._severity(most_severe)["interruptions"] += 1
        self._after[(citizen, day)] += 1

    def _severity(self, severity: Severity) -> Counter[str]:
        return self.by_severity.setdefault(severity, Counter())

    @property
    def interruptions(self) -> int:
        return self.rung + self.digests_ringing

    @property
    def reduction(self) -> float:
        """The share of interruptions a citizen was spared; 0 where there were none to spare."""
        without = self.rung_without_throttle
        return 1 - self.interruptions / without if without else 0.0

    def by_reason(self) -> Counter[Reason]:
        """Deliveries by the reason of their first decision."""
        reasons: Counter[Reason] = Counter()
        for (_, reason), n in self.by_decision.items():
            reasons[reason] += n
        return reasons

    def per_citizen_day(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Interruptions of every citizen on every day that had any, before and after."""
        days = self._before.keys() | self._after.keys()
        before = np.array([self._before[d] for d in days], dtype=np.int64)
        after = np.array([self._after[d] for d in days], dtype=np.int64)
        return before, after

    def to_json(self) -> dict[str, Any]:
        before, after = self.per_citizen_day()
        severities = [s for s in Severity if s in self.by_severity]
        columns = ("deliveries_without_throttle", *dict.fromkeys(_COUNTED.values()))
        return {
            "messages": self.messages,
            "not_public": self.not_public,
            "not_sent": self.not_sent,
            "superseded_on_arrival": self.late,
            "nobody_concerned": self.nobody,
            "unsure_events": self.unsure,
            "held_for_approval": self.held,
            "deliveries_without_throttle": self.deliveries,
            "interruptions_without_throttle": self.rung_without_throttle,
            "interruptions": self.interruptions,
            "sent": self.outcomes[Outcome.SENT],
            "silent": self.outcomes[Outcome.SILENT],
            "digested": self.outcomes[Outcome.DIGESTED],
            "digests": self.digests,
            "dropped": sum(n for o, n in self.outcomes.items() if not o.reached),
            "reduction": round(self.reduction, 4),
            "by_reason": {str(r): n for r, n in self.by_reason().most_common()},
            "by_outcome": {str(o): self.outcomes[o] for o in Outcome if self.outcomes[o]},
            "by_severity": {
                str(s): {c: self.by_severity[s][c] for c in columns} for s in severities
            },
            "per_citizen_day": {"before": _spread(before), "after": _spread(after)},
        }


def _spread(counts: NDArray[np.int64]) -> dict[str, float]:
    if not len(counts):
        return {"mean": 0.0, "p95": 0.0, "max": 0}
    return {
        "mean": round(float(counts.mean()), 4),
        "p95": round(float(np.percentile(counts, 95)), 4),
        "max": int(counts.max()),
    }


def day_of(local: datetime) -> int:
    """A calendar day as a number."""
    return local.toordinal()
