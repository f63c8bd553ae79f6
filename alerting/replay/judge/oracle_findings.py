"""What the oracle found: changes that citizens missed or heard late, and needless interruptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from alerting.domain.alert import Severity


class Fault(NamedTuple):
    """One kind of change that was missed or late.

    Attributes:
        channels: The citizen's, in order.
        reason: Why the delivery was not sent, and its outcome.
    """

    severity: Severity
    channels: str
    change: str
    reason: str


#: The number of examples kept per kind of fault.
_EXAMPLES = 3


@dataclass(slots=True)
class Findings:
    """Counts of what citizens heard and did not hear.

    Attributes:
        changes: By severity.
        missed: Never heard in a way that counts.
        late: Heard after it mattered.
        expired: Deliveries that expired while they waited.
        unchanged: Alerts that changed nothing for a citizen.
        needless: Those of them that interrupted and made up for nothing.
        wrong_ends: Ends that reached a citizen for whom the danger went on.
    """

    changes: Counter[Severity] = field(default_factory=Counter)
    missed: Counter[Fault] = field(default_factory=Counter)
    late: Counter[Fault] = field(default_factory=Counter)
    expired: Counter[Severity] = field(default_factory=Counter)
    unchanged: int = 0
    needless: int = 0
    wrong_ends: int = 0
    quiet_hour_violations: int = 0
    #: The first few of each kind, as identifier and citizen.
    examples: dict[Fault, list[tuple[str, int]]] = field(default_factory=dict)

    def miss(self, fault: Fault, identifier: str, citizen: int) -> None:
        self.missed[fault] += 1
        self._example(fault, identifier, citizen)

    def be_late(self, fault: Fault, identifier: str, citizen: int) -> None:
        self.late[fault] += 1
        self._example(fault, identifier, citizen)

    @property
    def needless_share(self) -> float:
        """The share of unchanged alerts that interrupted."""
        return self.needless / self.unchanged if self.unchanged else 0.0

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """The findings as an object.

        Args:
            names: The citizens' names by number.
        """
        missed, late = _severities(self.missed), _severities(self.late)
        return {
            "state_changes": self.changes.total(),
            "state_changes_missed": self.missed.total(),
            "state_changes_late": self.late.total(),
            "changes_by_severity": {
                str(s): {"changes": self.changes[s], "missed": missed[s], "late": late[s]}
                for s in Severity
                if self.changes[s]
            },
            "missed": self._rows(self.missed, names),
            "late": self._rows(self.late, names),
            "expired_waiting": {str(s): self.expired[s] for s in Severity if self.expired[s]},
            "unchanged": self.unchanged,
            "unchanged_interrupting": self.needless,
            "unchanged_interrupting_share": round(self.needless_share, 4),
            "wrong_ends": self.wrong_ends,
            "quiet_hour_violations": self.quiet_hour_violations,
        }

    def _rows(self, faults: Counter[Fault], names: Sequence[str]) -> list[dict[str, Any]]:
        order = sorted(faults, key=lambda f: (f.severity.rank, -faults[f], f[1:]))
        return [
            {
                **f._asdict(),
                "count": faults[f],
                "examples": [
                    {"identifier": i, "citizen": names[c]} for i, c in self.examples.get(f, ())
                ],
            }
            for f in order
        ]

    def _example(self, fault: Fault, identifier: str, citizen: int) -> None:
        kept = self.examples.setdefault(fault, [])
        if len(kept) < _EXAMPLES:
            kept.append((identifier, citizen))


def _severities(faults: Counter[Fault]) -> Counter[Severity]:
    found: Counter[Severity] = Counter()
    for fault, count in faults.items():
        found[fault.severity] += count
    return found
