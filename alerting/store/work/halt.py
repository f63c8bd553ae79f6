"""Revoking what an ended alert has not sent yet.

Workers go by an alert's state, which they read before each window. Its rows follow in two steps.
`stop`, in the transaction that ends the alert, takes its chunks away from workers; `call_back`,
right after and in small transactions, settles their deliveries as revoked. Between the two a chunk
is `done` without a `done_at`.

Outbox rows are locked before alert rows, as workers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN, UNFINISHED
from alerting.store.states import A, D, W, delivery_from, work_from

#: The cursor of a chunk of which all deliveries were revoked, but for those in doubt.
_CALLED_BACK = -1

#: States of alerts whose unsent deliveries are revoked.
_ENDS = [A.CANCELLED.value, A.SUPERSEDED.value]


async def stop(connection: AsyncConnection, alert_ids: Sequence[UUID]) -> bool:
    """Take the open work of these alerts away from workers; True when a provider is being called.

    Planning ends. A chunk that is not claimed, or is between two windows, is sent no further: its
    worker is fenced. A chunk inside a window keeps its worker, who alone knows the outcome and
    stops before the next window. Called just before the alerts' state is set and the transaction
    ends, because workers wait for both.
    """
    if not alert_ids:
        return False
    driver = await raw(connection)
    # Waits for a planner at work, so that no chunk is written after those taken below.
    await driver.execute(
        f"""update outbox set state = '{W.DONE}', fence = fence + 1, lease_until = null, owner = '',
                  done_at = now()
           where alert_id = any(%s) and kind = 'plan' and state in {work_from(W.DONE)}""",  # noqa: S608
        (list(alert_ids),),
    )
    cursor = await driver.execute(
        f"""select id, state, fence, window_to > window_from from outbox
           where alert_id = any(%s) and kind = 'deliver' and state in ('{W.READY}','{W.LEASED}')
           order by id for update""",  # noqa: S608
        (list(alert_ids),),
    )
    rows = await cursor.fetchall()
    calling = [i for i, _, _, inside in rows if inside]
    fresh = [i for i, state, fence, inside in rows if state == W.READY and not fence and not inside]
    begun = {i for i, _, _, _ in rows} - set(calling) - set(fresh)
    await driver.execute(
        f"""update outbox set state = '{W.DONE}'
            where id = any(%s) and state in {work_from(W.DONE, W.READY)}""",  # noqa: S608
        (fresh,),
    )
    await driver.execute(
        f"""update outbox set state = '{W.READY}', fence = fence + 1, lease_until = null,
                  owner = '', not_before = now(), rank = null
           where id = any(%s) and (state in {work_from(W.READY)} or state = '{W.READY}')""",  # noqa: S608
        (list(begun),),
    )
    await driver.execute("update outbox set not_before = now() where id = any(%s)", (calling,))
    if rows:
        # A finished alert may have new work: citizens whom one channel did not reach.
        await driver.execute(
            "update alert set finished_at = null where id = any(%s) and finished_at is not null"
            " and id in (select alert_id from outbox where id = any(%s))",
            (list(alert_ids), [i for i, _, _, _ in rows]),
        )
    return bool(calling)


async def call_back(
    connection: AsyncConnection, reasons: Mapping[AlertState, str], *, chunks: int, now: datetime
) -> int:
    """Settle the unsent deliveries of up to `chunks` stopped chunks as revoked; returns how many
    chunks. What may have been sent stays in doubt, and its chunk open.

    Args:
        reasons: The ledger's reason by the state that ended the alert.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select o.id, o.size, o.state, o.alert_id, a.state
            from (select id, state from alert where {UNFINISHED} and state = any(%(ends)s)) as a
            join outbox o on o.alert_id = a.id
            where o.kind = 'deliver'
              and (o.state = '{W.DONE}' and o.done_at is null
                   or o.state = '{W.READY}' and o.window_to <= o.window_from
                      and o.cursor <> %(called_back)s)
            limit %(chunks)s for no key update of o skip locked""",  # noqa: S608
        {"ends": _ENDS, "called_back": _CALLED_BACK, "chunks": chunks},
    )
    rows = await cursor.fetchall()
    if not rows:
        return 0
    ranges = {
        "ids": [r[0] for r in rows],
        "firsts": [r[0] * CHUNK_SPAN for r in rows],
        "ends": [r[0] * CHUNK_SPAN + r[1] for r in rows],
    }
    await driver.execute(
        f"""update delivery d set state = '{D.REVOKED}', reason = r.reason, settled_at = %(now)s
           from unnest(%(firsts)s::int8[], %(ends)s::int8[], %(reasons)s::text[])
             as r(first, "end", reason)
           where d.id >= r.first and d.id < r."end" and d.state in {delivery_from(D.REVOKED)}""",  # noqa: S608
        {**ranges, "now": now, "reasons": [reasons[AlertState(r[4])] for r in rows]},
    )
    touched = [r[0] for r in rows if r[2] == W.READY]
    cursor = await driver.execute(
        f"""select o.id from outbox o where o.id = any(%(touched)s) and exists (
             select from delivery d where d.id >= o.id * %(span)s
               and d.id < o.id * %(span)s + o.size and d.state = '{D.IN_DOUBT}')""",  # noqa: S608
        {"touched": touched, "span": CHUNK_SPAN},
    )
    doubtful = [row[0] for row in await cursor.fetchall()]
    await driver.execute(
        "update outbox set cursor = %s where id = any(%s)", (_CALLED_BACK, doubtful)
    )
    await driver.execute(
        f"""update outbox set state = '{W.DONE}', done_at = now()
           where id = any(%s) and not id = any(%s)
             and (state in {work_from(W.DONE, W.READY)} or state = '{W.DONE}')""",  # noqa: S608
        (ranges["ids"], doubtful),
    )
    return len(rows)


async def call_back_deferred(
    connection: AsyncConnection,
    alert_ids: Sequence[UUID],
    reason: str,
    *,
    limit: int,
    now: datetime,
) -> int:
    """Revoke the deliveries of these alerts that wait for citizens' digests; returns how many
    were checked."""
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""with gone as (
             delete from digest_item where delivery_id in (
               select delivery_id from digest_item
               where digest_id is null and alert_id = any(%(alerts)s)
               limit %(limit)s for update skip locked)
             returning delivery_id),
           revoked as (
             update delivery d set state = '{D.REVOKED}', reason = %(reason)s, settled_at = %(now)s
             from gone where d.id = gone.delivery_id
               and d.state in {delivery_from(D.REVOKED, D.DEFERRED)})
           select count(*) from gone""",  # noqa: S608
        {"alerts": list(alert_ids), "reason": reason, "now": now, "limit": limit},
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
