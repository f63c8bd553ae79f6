"""One line of JSON for each alert and citizen, written as the replay goes."""

from __future__ import annotations

import json
from pathlib import Path

from alerting.errors import BadInput
from alerting.replay.delivery import Delivery, Outcome

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
