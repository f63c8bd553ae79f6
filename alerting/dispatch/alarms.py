"""Alarms raised by code that must not wait for the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from alerting.drills.walls import ALARM
from alerting.observe.logs import logger
from alerting.store.admin import stored_alarms
from alerting.store.db import AWAY, Database

log = logger(__name__)

#: An alarm that continues is written again no sooner than this.
_AGAIN_S = 10.0


class Alarms:
    """Opens and closes alarms in the background. Lives on one event loop; never raises."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._written_s: dict[tuple[str, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, kind: str, subject: str, sentence: str) -> None:
        """Report that something is wrong."""
        now = time.monotonic()
        if now - self._written_s.get((kind, subject), -_AGAIN_S) < _AGAIN_S:
            return
        self._written_s[kind, subject] = now
        self._later(self._open(kind, subject, sentence))

    def close(self, kind: str, subject: str) -> None:
        """Report that it is right again."""
        self._written_s.pop((kind, subject), None)
        self._later(self._close(kind, subject))

    async def drain(self) -> None:
        """Return when all alarms are written."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _later(self, write: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(write)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, kind: str, subject: str, sentence: str) -> None:
        with suppress(*AWAY):
            async with self._db.begin() as connection:
                new = await stored_alarms.open_(connection, kind, subject, sentence)
            if new:
                log.error("alarm.open", kind=kind, subject=subject, sentence=sentence)

    async def _close(self, kind: str, subject: str) -> None:
        with suppress(*AWAY):
            async with self._db.begin() as connection:
                was_open = await stored_alarms.close(connection, kind, subject, by="system")
            if was_open:
                log.info("alarm.closed", kind=kind, subject=subject)


def refused_drill(alarms: Alarms, channel: str, code: str) -> None:
    """Raise the alarm of the wall around a channel."""
    alarms.open(
        ALARM,
        f"channel {channel}",
        f"The {channel} channel refused a drill ({code}) that no other wall had stopped; "
        "docs/drills.md.",
    )
