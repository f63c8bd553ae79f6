"""Whom a thread's alerts reached, or may have: the audience of its Cancel.

While a Cancel is accepted, providers may still be called for the last windows of what it ends.
Whoever those reach is found by looking once more when the last of them has been written down.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import TOLD
from alerting.domain.lane import Lane
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN

#: The cursor of a row that stands for the citizens a Cancel may have missed; no plan gets there.
_LATE = 2**63 - 1

#: Who was told, or may have been: by itself, in a digest, or where no receipt ever said.
_REACHED = """(d.state = any(%(told)s) or d.reason = 'digested'
               or d.state = 'failed' and d.reason = 'in-doubt')"""

_TOLD = [s.value for s in TOLD]


@dataclass(frozen=True, slots=True)
class Reached:
    """One address that was told, or may have been."""

    citizen_id: int
    address_id: int
    channel: str
    language: str


@dataclass(frozen=True, slots=True)
class Late:
    """A Cancel whose alerts have stopped for good since it was planned."""

    id: int
    alert_id: UUID
    lane: str


async def reached(
    connection: AsyncConnection, thread_id: UUID, *, batch: int
) -> AsyncGenerator[list[Reached]]:
    """Whom a thread's alerts reached, or may have, by citizen.

    Streams through a server-side cursor, so that memory stays flat; a citizen's addresses are
    never split over two batches.
    """
    driver = await raw(connection)
    async with driver.cursor(name="reached", row_factory=class_row(Reached)) as cursor:
        await cursor.execute(
            f"""select distinct d.citizen_id, d.address_id, d.channel,
                       coalesce(c.language, 'en') as language
                from alert a join outbox o on o.alert_id = a.id and o.kind = 'deliver'
                join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
                left join citizen c on c.id = d.citizen_id
                where a.thread_id = %(thread)s and {_REACHED}
                order by d.citizen_id, d.address_id""",  # noqa: S608 - nothing from outside
            {"span": CHUNK_SPAN, "thread": thread_id, "told": _TOLD},
        )
        held: list[Reached] = []
        while rows := await cursor.fetchmany(batch):
            held += rows
            # The last citizen may go on in the next fetch.
            whole = [r for r in held if r.citizen_id != held[-1].citizen_id]
            if whole:
                yield whole
            held = held[len(whole) :]
        if held:
            yield held


async def reach(connection: AsyncConnection, thread_id: UUID) -> dict[str, int]:
    """How many addresses by channel a thread's alerts reached so far, or may have."""
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select d.channel, count(distinct d.address_id)
            from alert a join outbox o on o.alert_id = a.id and o.kind = 'deliver'
            join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
            where a.thread_id = %(thread)s and a.msg_type <> 'Cancel' and {_REACHED}
            group by 1 order by 1""",  # noqa: S608 - nothing from outside
        {"span": CHUNK_SPAN, "thread": thread_id, "told": _TOLD},
    )
    return dict(await cursor.fetchall())


async def expect_late(
    connection: AsyncConnection, alert_id: UUID, lane: Lane, *, until: datetime
) -> None:
    """Note that a Cancel must look once more for whom it reaches, when providers have answered.

    until: when that is worth doing no longer.
    """
    driver = await raw(connection)
    await driver.execute(
        """insert into outbox (alert_id, kind, lane, cursor, not_before)
           values (%s, 'plan', %s, %s, %s)""",
        (alert_id, lane.value, _LATE, until),
    )


async def late(connection: AsyncConnection) -> list[Late]:
    """The Cancels that may look once more now, locked: planned, and nothing of theirs is sent."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Late)) as cursor:
        await cursor.execute(
            """select l.id, l.alert_id, l.lane from outbox l join alert a on a.id = l.alert_id
               where l.state = 'ready' and l.kind = 'plan' and l.cursor = %s
                 and a.planned_at is not null and not exists (
                   select from alert v join outbox o on o.alert_id = v.id
                   where v.thread_id = a.thread_id and v.state = 'cancelled'
                     and o.kind = 'deliver' and (o.state = 'leased'
                       or o.state = 'ready' and o.window_to > o.window_from))
               for no key update of l skip locked""",
            (_LATE,),
        )
        return await cursor.fetchall()


async def missed(connection: AsyncConnection, cancel_id: UUID) -> list[Reached]:
    """Whom the alerts a Cancel ended have reached since it was planned."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Reached)) as cursor:
        # Only chunks that ended no sooner than the Cancel came; a minute allows for transactions
        # that had begun before.
        await cursor.execute(
            f"""select distinct d.citizen_id, d.address_id, d.channel,
                       coalesce(c.language, 'en') as language
                from alert a join alert v on v.thread_id = a.thread_id and v.id <> a.id
                join outbox o on o.alert_id = v.id and o.kind = 'deliver'
                  and coalesce(o.done_at, now()) >= a.submitted_at - interval '1 minute'
                join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
                left join citizen c on c.id = d.citizen_id
                where a.id = %(cancel)s and {_REACHED} and not exists (
                  select from delivery n where n.citizen_id = d.citizen_id
                    and n.alert_id = a.id and n.address_id = d.address_id)
                order by d.citizen_id, d.address_id""",  # noqa: S608 - nothing from outside
            {"span": CHUNK_SPAN, "cancel": cancel_id, "told": _TOLD},
        )
        return await cursor.fetchall()


async def settle_late(connection: AsyncConnection, found: Late) -> None:
    """The Cancel has looked once more."""
    driver = await raw(connection)
    await driver.execute(
        "update outbox set state = 'done', done_at = now() where id = %s", (found.id,)
    )
