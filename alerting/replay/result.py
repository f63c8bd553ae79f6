"""What a replay comes to, and its one JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerting.replay.figures import Figures
from alerting.replay.grouping import Grouping
from alerting.replay.judge.findings import Findings
from alerting.replay.population import Population
from alerting.replay.reading import Trace


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a replay. grouping: None where nothing is known of incidents. channels: the mix
    of channels its citizens had; `own` for those of the population as it came."""

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
