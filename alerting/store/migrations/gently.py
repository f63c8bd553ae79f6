"""Schema changes beside workers that go on sending."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

#: Whoever wants a row of the table waits behind us no longer than this.
_LOCK_MS = 150
_PAUSE_S = 0.3
_GIVE_UP_S = 300.0

_LOCK_NOT_AVAILABLE = "55P03"


def gently(step: Callable[[], object]) -> None:
    """Do one quick change that needs a table to itself, when the table is free for a moment.

    The step waits for its lock for 150 ms, for everybody else queues behind it; then it lets them
    pass and tries again, for five minutes. Call it within `autocommit_block`, with a step that may
    be repeated. Raises what the step raised last.
    """
    end = time.monotonic() + _GIVE_UP_S
    connection = op.get_bind()
    connection.execute(text(f"set lock_timeout = {_LOCK_MS}"))
    try:
        while True:
            try:
                step()
                return
            except OperationalError as e:
                busy = getattr(e.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
                if not busy or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(_PAUSE_S / 2, _PAUSE_S))  # noqa: S311 - spreads load only
    finally:
        connection.execute(text("set lock_timeout = 0"))


def index_concurrently(
    name: str, table: str, columns: str, where: str = "true", *, unique: bool = False
) -> None:
    """Build an index while the table is written to. What an interrupted build left is replaced."""
    connection = op.get_bind()
    connection.execute(text(f"drop index concurrently if exists {name}"))
    kind = "unique index" if unique else "index"
    condition = "" if where == "true" else f" where {where}"
    connection.execute(text(f"create {kind} concurrently {name} on {table} ({columns}){condition}"))


def works_with(oldest: str) -> None:
    """Say that programs of revision `oldest` and later work on this schema.

    A running process reads it to know whether a schema newer than its own is one for it.
    """
    op.execute(f"comment on table alembic_version is 'works with {oldest}'")
