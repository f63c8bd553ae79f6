"""What this room tells the operator, by whatever keeps alarms."""

from __future__ import annotations

from typing import Protocol


class AlarmSink(Protocol):
    """Opens and closes alarms without waiting; never raises."""

    def open(self, kind: str, subject: str, sentence: str) -> None: ...

    def close(self, kind: str, subject: str) -> None: ...
