"""What a worker writes about work it has claimed: its lease, its window, and how the work ended.

The fence is a fencing token: each claim raises it, and each statement here names it. A worker that
lost its lease meanwhile has an outdated one and writes nothing (`Fenced`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Interval, Update, case, cast, func, literal, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.store.db import Database, raw
from alerting.store.ledger.escalations import AT_ONCE
from alerting.store.ledger.outcomes import OutcomeRow, outcome_statements
from alerting.store.schema import outbox
from alerting.store.states import W
from alerting.store.work.outbox import Work

# Runs for every window of sends, hence plain SQL: building a query took longer than running it.
_HOLD = f"""
    update outbox set
      lease_until = now() + make_interval(secs => %(lease_s)s),
      cursor = coalesce(%(cursor)s, cursor),
      window_from = coalesce(%(window_from)s, window_from),
      window_to = coalesce(%(window_to)s, window_to),
      tries = coalesce(%(tries)s, tries)
    where id = %(id)s and fence = %(fence)s and state = '{W.LEASED}'"""  # noqa: S608
_STATE = "select state from alert where id = %s"


class Fenced(Exception):
    """Another worker has claimed this work; the write must not happen."""


def _after(delay_s: float) -> ColumnElement[Any]:
    return func.now() + cast(literal(f"{max(0.0, delay_s)} seconds"), Interval)


def _mine(work: Work) -> Update:
    return update(outbox).where(
        outbox.c.id == work.id, outbox.c.fence == work.fence, outbox.c.state == W.LEASED
    )


async def hold(
    connection: AsyncConnection,
    work: Work,
    *,
    lease_s: float,
    cursor: int | None = None,
    window_from: int | None = None,
    window_to: int | None = None,
    tries: int | None = None,
) -> AlertState:
    """Check that the claim is still ours, extend its lease and set the given columns; returns the
    alert's state.

    The row stays locked to the end of the transaction, so no other worker can claim it before all
    else in that transaction is written. Raises Fenced when another worker has taken over.
    """
    driver = await raw(connection)
    values = {"cursor": cursor, "window_from": window_from, "window_to": window_to, "tries": tries}
    proof = {"id": work.id, "fence": work.fence, "lease_s": lease_s}
    held = await driver.execute(_HOLD, values | proof)
    # A statement of its own: the one above may have waited for a cancel, and would see the alert's
    # state from before it.
    return await _proven(work, held, await driver.execute(_STATE, (work.alert_id,)))


async def commit_batch_and_open_next(
    db: Database,
    work: Work,
    outcome_rows: Sequence[OutcomeRow],
    *,
    lease_s: float,
    window: tuple[int, int],
    now: datetime,
) -> AlertState:
    """Record the outcomes of the last window and open the next, as `hold` and `record_outcomes` do,
    in a single round trip; returns the alert's state.

    Raises Fenced, and nothing is written then.
    """
    values = {
        "cursor": None,
        "window_from": window[0],
        "window_to": window[1],
        # Only consecutive claims without any outcome count against a chunk.
        "tries": 1 if outcome_rows else None,
    }
    proof = {"id": work.id, "fence": work.fence, "lease_s": lease_s}
    async with db.pipelined() as driver:
        held = await driver.execute(_HOLD, values | proof)
        state = await driver.execute(_STATE, (work.alert_id,))
        if outcome_rows:
            query, columns = outcome_statements(
                outcome_rows, now=now, work_id=work.id, fence=work.fence
            )
            await driver.execute(query, columns)
    return await _proven(work, held, state)


async def state_seen(db: Database, work: Work) -> AlertState | None:
    """The state of the work's alert, without checking the claim; None where the alert is gone."""
    async with db.pipelined() as driver:
        state = await driver.execute(_STATE, (work.alert_id,))
    found = await state.fetchone()
    return AlertState(found[0]) if found else None


async def _proven(
    work: Work, held: psycopg.AsyncCursor[Any], state: psycopg.AsyncCursor[Any]
) -> AlertState:
    if held.rowcount != 1:
        raise Fenced(f"outbox row {work.id} has another owner")
    found = await state.fetchone()
    if found is None:
        raise Fenced(f"alert {work.alert_id} is gone")
    return AlertState(found[0])


async def finish(
    connection: AsyncConnection, work: Work, *, check_at: datetime | None = None
) -> None:
    """Mark the row as done. Raises Fenced.

    Args:
        check_at: When to check for citizens not reached; a check that was asked for at once stays.
    """
    query = _mine(work).values(
        state=W.DONE,
        done_at=func.now(),
        lease_until=None,
        owner="",
        check_at=case((outbox.c.check_at == AT_ONCE, AT_ONCE), else_=check_at),
    )
    if (await connection.execute(query)).rowcount != 1:
        raise Fenced(f"outbox row {work.id} has another owner")


async def release(
    connection: AsyncConnection,
    work: Work,
    *,
    delay_s: float,
    cursor: int,
    check_at: datetime | None = None,
) -> None:
    """Release the row in good order, to continue at `cursor` after `delay_s`. Raises Fenced.

    The delay is counted by PostgreSQL's clock, which decides what is due: for a worker whose own
    clock is behind it must not be due at once.

    Args:
        check_at: When to check for citizens not reached, unless an earlier check is due.
    """
    query = _mine(work).values(
        state=W.READY,
        lease_until=None,
        owner="",
        # Counts claims whose worker vanished, so that a chunk that kills workers is found.
        tries=0,
        cursor=cursor,
        not_before=_after(delay_s),
        window_from=0,
        window_to=0,
        rank=None,
        check_at=func.least(outbox.c.check_at, check_at),
    )
    if (await connection.execute(query)).rowcount != 1:
        raise Fenced(f"outbox row {work.id} has another owner")


async def abandon(
    connection: AsyncConnection, work: Work, *, delay_s: float, counts: bool = True
) -> None:
    """Release the row after a fault with its window open: what is in it is in doubt.

    Args:
        counts: The row may have caused the fault, so it counts as a failed try of the row.
    """
    query = _mine(work).values(
        state=W.READY,
        lease_until=None,
        owner="",
        not_before=_after(delay_s),
        rank=None,
        tries=work.tries if counts else work.tries - 1,
    )
    await connection.execute(query)


async def poison(connection: AsyncConnection, work: Work) -> None:
    """Set aside a row that keeps killing its workers, so that the rest continues. Citizens of a
    chunk who were not notified by then are checked at once. Raises Fenced."""
    check_at = AT_ONCE if work.kind == "deliver" and not work.digest else None
    query = _mine(work).values(
        state=W.POISONED, lease_until=None, done_at=func.now(), check_at=check_at
    )
    if (await connection.execute(query)).rowcount != 1:
        raise Fenced(f"outbox row {work.id} has another owner")
