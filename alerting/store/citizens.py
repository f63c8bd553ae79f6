"""The directory of citizens: who they are, how they are reached, where they want to be warned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import time
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import NotFound
from alerting.store import audit
from alerting.store.db import int8s
from alerting.store.schema import address, citizen

Driver = psycopg.AsyncConnection[Any]

#: Citizen id, language, channel, address id, whether it may be used; no channel where a citizen has
#: no address.
Contact = tuple[int, str, str, int, bool]

#: Channels a citizen did not rank come last, in the order of `channels.registry.CHANNELS`.
_CONTACTS = """
    select c.id, c.language, coalesce(a.channel, ''), coalesce(a.id, 0),
           coalesce(a.consent and a.verified and a.suspended_reason is null, false)
    from unnest(%s::int8[]) as w(id) join citizen c using (id)
    left join address a on a.citizen_id = c.id
    order by c.id, array_position(c.channels, a.channel) nulls last,
             array_position(array['push','sms','email'], a.channel), a.id"""


async def contacts(driver: Driver, citizen_ids: Iterable[int]) -> list[Contact]:
    """The addresses of each citizen in the order they want them, citizens by id."""
    cursor = driver.cursor(binary=True)
    await cursor.execute(_CONTACTS, (int8s(citizen_ids),))
    return await cursor.fetchall()


class Hours(NamedTuple):
    """When a citizen wants no interruption; "" and None for the policy's."""

    time_zone: str
    quiet_from: time | None
    quiet_to: time | None


async def hours(driver: Driver, citizen_ids: Iterable[int]) -> dict[int, Hours]:
    """The quiet hours of each of these citizens."""
    cursor = await driver.execute(
        """select id, coalesce(time_zone, ''), quiet_from, quiet_to
           from citizen where id = any(%s::int8[])""",
        (int8s(citizen_ids),),
    )
    return {row[0]: Hours(*row[1:]) for row in await cursor.fetchall()}


async def set_consent(
    connection: AsyncConnection, address_id: int, consent: bool, actor: str
) -> str:
    """Give or withdraw consent for one address; returns its channel. Raises NotFound.

    What a citizen withdrew stays withdrawn whatever a register says later.
    """
    withdrawn_at = None if consent else func.now()
    query = (
        update(address)
        .where(address.c.id == address_id)
        .values(consent=consent, withdrawn_at=withdrawn_at, updated_at=func.now())
        .returning(address.c.channel)
    )
    channel: str | None = await connection.scalar(query)
    if channel is None:
        raise NotFound("This address is no longer known.")
    action = "consent.give" if consent else "consent.withdraw"
    await audit.record(connection, actor, action, f"address {address_id}")
    return channel


async def suspend(connection: AsyncConnection, address_ids: Sequence[int], reason: str) -> None:
    """Stop using addresses that a provider calls dead or gone, until they are verified anew."""
    await connection.execute(
        update(address)
        .where(address.c.id.in_(address_ids), address.c.suspended_reason.is_(None))
        .values(suspended_reason=reason, updated_at=func.now())
    )


async def in_groups(connection: AsyncConnection, citizen_id: int, groups: Collection[str]) -> bool:
    """Whether a citizen is in one of these closed groups."""
    query = select(citizen.c.id).where(
        citizen.c.id == citizen_id, citizen.c.groups.overlap(list(groups))
    )
    return (await connection.execute(query)).first() is not None


async def stats(connection: AsyncConnection) -> dict[str, Any]:
    """How many citizens, places, geocodes, and addresses by channel and usability."""
    usable = address.c.consent & address.c.verified & address.c.suspended_reason.is_(None)
    query = (
        select(address.c.channel, func.count(), func.count().filter(usable))
        .group_by(address.c.channel)
        .order_by(address.c.channel)
    )
    channels = {
        channel: {"addresses": total, "usable": good}
        for channel, total, good in await connection.execute(query)
    }
    counts = {}
    for name in ("citizen", "place", "citizen_geocode"):
        counts[name] = await connection.scalar(select(func.count()).select_from(_table(name)))
    return {
        "citizens": counts["citizen"],
        "places": counts["place"],
        "geocodes": counts["citizen_geocode"],
        "channels": channels,
    }


def _table(name: str) -> Any:
    return address.metadata.tables[name]
