"""What is known of a trace from outside: which incident each message is about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePath

from alerting.errors import BadInput

#: The file that holds it beside the messages.
TRUTH = "truth.jsonl"


@dataclass(slots=True)
class Truth:
    """Incidents by file name and by identifier; a file's own line goes before its identifier's."""

    by_file: dict[str, str | None] = field(default_factory=dict)
    by_identifier: dict[str, str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """True where it names any incident at all."""
        return any(v is not None for v in (*self.by_file.values(), *self.by_identifier.values()))

    def update(self, other: Truth) -> None:
        self.by_file.update(other.by_file)
        self.by_identifier.update(other.by_identifier)

    def knows(self, file: str, identifier: str) -> bool:
        return PurePath(file).name in self.by_file or identifier in self.by_identifier

    def incident(self, file: str, identifier: str) -> str | None:
        """The incident of a message; None where it is on its own or nothing is known of it."""
        name = PurePath(file).name
        if name in self.by_file:
            return self.by_file[name]
        return self.by_identifier.get(identifier)


def read_truth(name: str, data: bytes) -> Truth:
    """Read `truth.jsonl`: one object a line with `identifier` (or `file`) and `incident`.

    Raises BadInput naming the line that is none.
    """
    truth = Truth()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fact = json.loads(line)
            incident = fact["incident"]
            incident = None if incident is None else str(incident)
            if "file" in fact:
                truth.by_file[PurePath(str(fact["file"])).name] = incident
            if "identifier" in fact:
                truth.by_identifier[str(fact["identifier"])] = incident
        except (ValueError, KeyError, TypeError) as e:
            raise BadInput(
                f"{name}, line {number} does not say which incident a message is about.",
                remedy='Write one object a line: {"identifier": …, "incident": … or null}.',
            ) from e
    return truth
