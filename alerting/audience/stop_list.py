"""The stop list: suppressions in a file outside the database, for restoring a dump.

Each change is one line that is appended and never modified: channel, HMAC of the endpoint, source,
time and whether the suppression was lifted. It identifies nobody; the key of the HMAC is in the
database, and in its dumps.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from alerting.errors import BadInput
from alerting.store.citizens import stops
from alerting.store.citizens.stops import Change
from alerting.store.citizens.suppressions import Source
from alerting.store.db import Database

#: Longer than any transaction: a change is committed by then (`store.db` ends idle transactions).
_OVERLAP = timedelta(minutes=2)

#: The beginning of each line; the last one may be cut off within it.
_BEGINS = '{"of": "'

_REMEDY = "Give a complete file that the scheduler wrote (ALERTING_STOP_LIST)."


class StopList:
    """Appends the suppressions that a file does not contain yet. For one process at a time."""

    def __init__(self, db: Database, path: Path) -> None:
        self._db = db
        self._path = path
        self._written: set[Change] | None = None
        self._since: datetime | None = None

    async def write(self) -> int:
        """Append new changes, durably, and return the number of lines.

        Raises:
            OSError: When the file cannot be written.
            BadInput: When the file belongs to another database.
        """
        async with self._db.begin() as connection:
            lineage = await stops.lineage(connection)
            found = await stops.changes(connection, since=self._since)
        if self._written is None:
            there = self._path.exists()
            self._written = (
                set(await asyncio.to_thread(read, self._path, lineage)) if there else set()
            )
        new = [c for c in found if c not in self._written]
        if new:
            await asyncio.to_thread(self._append, lineage, new)
        if found:
            self._since = found[-1].at - _OVERLAP
            self._written = {c for c in self._written if c.at >= self._since} | set(new)
        return len(new)

    def _append(self, lineage: str, new: Iterable[Change]) -> None:
        lines = "".join(json.dumps(_line(lineage, c)) + "\n" for c in new)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(file, "rb+") as out:
            out.truncate(_whole(out))
            out.seek(0, os.SEEK_END)
            out.write(lines.encode())
            out.flush()
            os.fsync(out.fileno())


def _whole(file: IO[bytes]) -> int:
    """The length of a file without a last line that was cut off by a crash."""
    size = file.seek(0, os.SEEK_END)
    end = size
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def read(path: Path, lineage: str | None) -> list[Change]:
    """Return the last change of each endpoint, in no particular order.

    Args:
        lineage: Of the database that the file must belong to; None for any.

    Raises:
        BadInput: For a file that cannot be read, is not a stop list, or belongs to another
            database.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"The stop list {path} cannot be read.", remedy=_REMEDY) from e
    last: dict[tuple[str, bytes], Change] = {}
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            change = _change(values)
        except (ValueError, KeyError, TypeError) as e:
            if number == len(lines) and line[:8] == _BEGINS[: len(line)]:
                break  # cut off when the machine went down
            raise BadInput(
                f"{path}, line {number} is not a line of a stop list.", remedy=_REMEDY
            ) from e
        if lineage is not None and values["of"] != lineage:
            raise BadInput(
                f"{path}, line {number} belongs to another database: its endpoints cannot be "
                "recognised here.",
                remedy="Restore a dump made after the file was begun, or continue without it.",
            )
        known = last.get((change.channel, change.key))
        if known is None or change.at >= known.at:
            last[change.channel, change.key] = change
    return list(last.values())


def _line(lineage: str, change: Change) -> dict[str, Any]:
    return {
        "of": lineage,
        "channel": change.channel,
        "key": change.key.hex(),
        "source": change.source.value,
        "at": change.at.isoformat(),
        "lifted": change.lifted,
    }


def _change(values: dict[str, Any]) -> Change:
    at = datetime.fromisoformat(values["at"])
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    source = Source(values["source"])
    return Change(
        str(values["channel"]), bytes.fromhex(values["key"]), source, at, bool(values["lifted"])
    )
