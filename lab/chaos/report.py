"""The result of a run: its figures, whether each criterion holds, and the command to repeat it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from lab.chaos.fault_injector import Injected
from lab.chaos.judge import Judgement


@dataclass(frozen=True, slots=True)
class Criterion:
    """`measured` may be at most `at_most`; None was not measured and fails."""

    name: str
    at_most: float
    measured: float | None

    @property
    def holds(self) -> bool:
        return self.measured is not None and self.measured <= self.at_most


@dataclass(frozen=True, slots=True)
class Report:
    """One scenario's run.

    Attributes:
        planned: Faults in the plan; those that struck are in `struck`, each with its recovery in
            `recovery_s`: the longest time all carriers were without a message from then to the next
            fault.
        in_doubt_elsewhere: Deliveries in doubt that no killed or stopped worker accounts for.
        providers: Deliveries by who was called last.
    """

    scenario: str
    command: str
    seed: int
    citizens: int
    expected: int
    planned: int
    struck: Sequence[Injected]
    recovery_s: Sequence[float | None]
    judgement: Judgement
    in_doubt_elsewhere: int
    fenced: int
    errors: Mapping[str, int]
    providers: Mapping[str, int]
    criteria: Sequence[Criterion]
    seconds: float

    @property
    def passed(self) -> bool:
        return all(c.holds for c in self.criteria)

    @property
    def in_doubt(self) -> list[int]:
        """Deliveries left in doubt by each fault that ended or stopped workers."""
        return [s.in_doubt for s in self.struck if s.processes]

    def recoveries(self) -> dict[str, list[float]]:
        """Seconds of recovery by the name of the fault."""
        found: dict[str, list[float]] = defaultdict(list)
        for struck, s in zip(self.struck, self.recovery_s, strict=True):
            if s is not None:
                found[struck.fault.name].append(s)
        return dict(found)

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "command": self.command,
            "citizens": self.citizens,
            "faults": [
                s.fault.to_json(self.expected)
                | {"struck_at": s.at.isoformat(), "lines": s.lines, "recovery_s": _short(r)}
                | ({"answer": s.answer} if s.answer else {})
                for s, r in zip(self.struck, self.recovery_s, strict=True)
            ],
            "planned_faults": self.planned,
            **asdict(self.judgement),
            "in_doubt": {
                "max": max(self.in_doubt, default=0),
                "per_kill": self.in_doubt,
                "elsewhere": self.in_doubt_elsewhere,
            },
            "recovery_s": {
                name: {
                    "count": len(s),
                    "median": _short(median(s)),
                    "max": _short(max(s)),
                }
                for name, s in sorted(self.recoveries().items())
            },
            "fenced": self.fenced,
            "errors": dict(self.errors),
            "providers": dict(self.providers),
            "criteria": [asdict(c) | {"holds": c.holds} for c in self.criteria],
            "seconds": round(self.seconds, 1),
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "version": importlib.metadata.version("alerting"),
            "passed": self.passed,
        }


def _short(s: float | None) -> float | None:
    return None if s is None else round(s, 3)
