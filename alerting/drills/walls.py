"""The walls where drills are planned: who may be planned for, and what a fault causes.

There are four, and each is sufficient alone (docs/drills.md): the query that finds the audience,
the count of what was written, the throttle's first rule, and the pass that a channel demands. A
wall that stops something shows a fault before it, so it raises an alarm.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.domain.citizen import Recipient
from alerting.observe.logs import logger
from alerting.store import audit_log
from alerting.store.admin import stored_alarms
from alerting.store.alerts import threads
from alerting.store.citizens import drill_walls
from alerting.store.work import halt

log = logger(__name__)

#: The kind of the walls' alarms.
ALARM = "wall"


@dataclass
class Outsiders(Exception):
    """A drill was about to be planned for people who take no part in it.

    Attributes:
        count: Their deliveries.
    """

    alert_id: UUID
    count: int


async def members(
    connection: AsyncConnection, alert_id: UUID, citizen_ids: Sequence[int]
) -> set[int]:
    """Return those of these citizens, whom a drill reached before, who are still members.

    Former members are skipped. Citizens who were never on a roster raise an alarm: the drill should
    not have reached them.
    """
    found = await drill_walls.participants(connection, alert_id, citizen_ids)
    strangers = len(set(citizen_ids) - found.keys())
    if strangers:
        await raise_alarm(
            connection,
            "query",
            alert_id,
            f"Drill {alert_id} was about to reach {strangers} people who were never on any roster, "
            "because the ledger says that a drill had reached them before. They are left out",
        )
    return {citizen_id for citizen_id, takes_part in found.items() if takes_part}


async def members_only(
    connection: AsyncConnection,
    alert_id: UUID,
    batches: AsyncGenerator[list[Recipient]],
) -> AsyncGenerator[list[Recipient]]:
    """Yield the members of the drill among an audience that was not found by rosters."""
    async with aclosing(batches):
        async for batch in batches:
            here = await members(connection, alert_id, [r.citizen_id for r in batch])
            found = [r for r in batch if r.citizen_id in here]
            if found:
                yield found


async def check(connection: AsyncConnection, alert_id: UUID, chunk_ids: Sequence[int]) -> None:
    """Raise Outsiders when these new chunks of a drill contain anybody but its members."""
    count = await drill_walls.outsiders(connection, chunk_ids)
    if count:
        raise Outsiders(alert_id, count)


async def stop(connection: AsyncConnection, found: Outsiders) -> None:
    """End the drill, revoke what was not sent yet, and raise the alarm."""
    log.error("wall.plan", alert=str(found.alert_id), count=found.count)
    await raise_alarm(
        connection,
        "plan",
        found.alert_id,
        f"{found.count} deliveries of drill {found.alert_id} were for people on none of its "
        "rosters. None of them was written, and the drill has been stopped",
    )
    await audit_log.record(
        connection, "system", "drill.stop", str(found.alert_id), {"outsiders": found.count}
    )
    await halt.stop(connection, [found.alert_id])
    await threads.end(
        connection,
        [found.alert_id],
        AlertState.CANCELLED,
        f"a wall stopped it: {found.count} of its deliveries were for people on none of its "
        "rosters",
    )


@asynccontextmanager
async def guarded(connection: AsyncConnection, *, drill: bool) -> AsyncIterator[None]:
    """A savepoint for writing and checking (`check`) the chunks of a drill.

    On Outsiders only the block is rolled back, and the drill is stopped in the same transaction.
    """
    if not drill:
        yield
        return
    try:
        async with connection.begin_nested():
            yield
    except Outsiders as found:
        await stop(connection, found)


async def raise_alarm(
    connection: AsyncConnection, wall: str, alert_id: UUID, sentence: str
) -> None:
    """Raise the alarm of a wall that stopped something.

    Args:
        wall: Its name.
        sentence: Without its full stop.
    """
    await stored_alarms.open_(
        connection, ALARM, f"{wall} {alert_id}", f"{sentence}; docs/drills.md."
    )
