"""What a replay comes to, and its one JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerting.replay.figures import Figures
from alerting.replay.grouping import Grouping
from alerting.replay.oracle import Findings
from alerting.replay.population import Population
from alerting.replay.reading import Trace


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a replay. grouping: None where nothing is known of incidents."""

    trace: Trace
    population: Population
    figures: Figures
    findings: Findings
    grouping: Grouping | None
    policy: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        found = self.findings
        return {
            "policy": self.policy,
            "citizens": len(self.population.citizens),
            "citizens_refused": len(self.population.refused),
            **self.figures.to_json(),
            "state_changes": found.state_changes,
            "state_changes_missed": found.state_changes_missed,
            "missed_by": dict(found.missed_by),
            "missed_examples": [
                {"identifier": i, "citizen": self.population.citizens[c].name}
                for i, c in found.examples
            ],
            "extreme_suppressed": found.extreme_suppressed,
            "wrong_ends": found.wrong_ends,
            "quiet_hour_violations": found.quiet_hour_violations,
            "grouping": None if self.grouping is None else self.grouping.to_json(),
            "refused": len(self.trace.refused),
            "ignored_files": self.trace.ignored,
            "seconds": round(self.seconds, 2),
        }
