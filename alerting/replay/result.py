"""The result of a replay: counts, interruptions per citizen and day, and its one JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.domain.alert import Severity
from alerting.domain.decision import Action, Reason
from alerting.replay.judge.oracle_findings import Findings
from alerting.replay.population import Population
from alerting.replay.replay_delivery import Delivery, Outcome
from alerting.replay.trace import Trace


@dataclass(frozen=True, slots=True)
class Grouping:
    """How well messages were grouped into events, judged against known incidents.

    Attributes:
        pairs: Pairs of messages of one incident.
        found: Those of them in one event.
        claimed: All pairs in one event, rightly or not.
    """

    pairs: int
    found: int
    claimed: int

    @property
    def precision(self) -> float | None:
        """The share of claimed pairs that are right; None without claimed pairs."""
        return self.found / self.claimed if self.claimed else None

    @property
    def recall(self) -> float | None:
        """The share of true pairs that were found; None without true pairs."""
        return self.found / self.pairs if self.pairs else None

    def to_json(self) -> dict[str, Any]:
        return {
            "precision": None if self.precision is None else round(self.precision, 4),
            "recall": None if self.recall is None else round(self.recall, 4),
            "pairs": self.pairs,
        }


def judge_grouping(messages: Iterable[tuple[Hashable, str | None]]) -> Grouping:
    """Compare the event of each message with its incident; None is an incident of its own."""
    events: Counter[Hashable] = Counter()
    incidents: Counter[str] = Counter()
    both: Counter[tuple[Hashable, str]] = Counter()
    for event, incident in messages:
        events[event] += 1
        if incident is not None:
            incidents[incident] += 1
            both[(event, incident)] += 1
    return Grouping(_pairs(incidents), _pairs(both), _pairs(events))


def _pairs(sizes: Counter[Any]) -> int:
    return sum(n * (n - 1) // 2 for n in sizes.values())


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
    """Running counts; a citizen's day is a calendar day on their own clock.

    `interruptions` counts alerts that interrupted a citizen, once for all channels at one instant,
    and digests, one each; email interrupts nobody. Every delivery counts as sent, silent, digested
    or dropped; dropped includes deliveries that expired or were superseded while they waited.
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

        Args:
            rings: It would interrupt the citizen, and no other channel does at that instant.
        """
        self.deliveries += 1
        self.by_decision[(delivery.action, delivery.reason)] += 1
        self._severity(delivery.severity)["deliveries_without_throttle"] += 1
        if rings:
            self.rung_without_throttle += 1
            self._before[(delivery.citizen, day)] += 1

    def settled(self, delivery: Delivery, outcome: Outcome, day: int, *, rings: bool) -> None:
        """Count the outcome of a delivery."""
        self.outcomes[outcome] += 1
        counted = self._severity(delivery.severity)
        if outcome is not Outcome.SENT:
            counted[_COUNTED[outcome]] += 1
        if rings:
            counted["interruptions"] += 1
            self.rung += 1
            self._after[(delivery.citizen, day)] += 1

    def digest_sent(self, citizen: int, most_severe: Severity, day: int, *, rings: bool) -> None:
        """Count a digest as one interruption, whatever it contains."""
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
        """The share of interruptions the throttle prevented; 0 without any."""
        without = self.rung_without_throttle
        return 1 - self.interruptions / without if without else 0.0

    def by_reason(self) -> Counter[Reason]:
        """Deliveries by the reason of their first decision."""
        reasons: Counter[Reason] = Counter()
        for (_, reason), n in self.by_decision.items():
            reasons[reason] += n
        return reasons

    def per_citizen_day(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Interruptions per citizen and day with any, before and after throttling."""
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


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a replay.

    Attributes:
        grouping: None when no incidents are known.
        channels: The citizens' mix of channels; `own` for the population's own.
    """

    trace: Trace
    population: Population
    figures: Figures
    findings: Findings
    grouping: Grouping | None
    policy: str
    seconds: float
    channels: str = "own"

    def to_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "channels": self.channels,
            "citizens": len(self.population.citizens),
            "citizens_refused": len(self.population.refused),
            **self.figures.to_json(),
            **self.findings.to_json([c.name for c in self.population.citizens]),
            "grouping": None if self.grouping is None else self.grouping.to_json(),
            "refused": len(self.trace.refused),
            "ignored_files": self.trace.ignored,
            "seconds": round(self.seconds, 2),
        }
