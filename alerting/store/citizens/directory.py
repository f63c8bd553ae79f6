"""The directory of citizens: their addresses, quiet hours and consent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import ARRAY, ColumnElement, Text, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import NotFound
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint, Suppression
from alerting.store.db import int8s
from alerting.store.schema import address, citizen

Driver = psycopg.AsyncConnection[Any]

#: The class of `channels.base` that says that the owner of an endpoint told its provider to stop.
_LEFT = "opted-out"

#: Citizen id, language, channel, address id, whether it may be used; no channel where a citizen has
#: no address.
Contact = tuple[int, str, str, int, bool]

_CONTACTS = """
    select c.id, c.language, coalesce(a.channel, ''), coalesce(a.id, 0),
           coalesce(a.consent and a.verified and a.suspended_reason is null, false)
    from unnest(%s::int8[]) as w(id) join citizen c using (id)
    left join address a on a.citizen_id = c.id
    order by c.id, array_position(c.channels, a.channel) nulls last,
             array_position(%s::text[], a.channel), a.id"""


async def contacts(
    driver: Driver, citizen_ids: Iterable[int], order: Sequence[str]
) -> list[Contact]:
    """The addresses of each citizen in the citizen's order, citizens by id.

    Args:
        order: Of the channels that a citizen did not rank, which come last.
    """
    cursor = driver.cursor(binary=True)
    await cursor.execute(_CONTACTS, (int8s(citizen_ids), list(order)))
    return await cursor.fetchall()


class Hours(NamedTuple):
    """A citizen's quiet hours; "" and None for the policy's."""

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


@dataclass(frozen=True, slots=True)
class Reachable:
    """The address that a link names.

    Attributes:
        left: Its owner has opted out.
    """

    endpoint: Endpoint
    left: bool


async def reachable(connection: AsyncConnection, address_id: int) -> Reachable:
    """The endpoint of one address, and whether its owner has opted out. Raises NotFound."""
    query = select(address.c.channel, address.c.endpoint, address.c.withdrawn_at).where(
        address.c.id == address_id
    )
    row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound("This address is no longer known.")
    return Reachable(Endpoint(row.channel, row.endpoint), row.withdrawn_at is not None)


async def leave(connection: AsyncConnection, address_id: int, *, actor: str) -> Endpoint:
    """Stop messages to the endpoint of this address, in every row that has it. Raises NotFound."""
    endpoint = (await reachable(connection, address_id)).endpoint
    await suppressions.stop(
        connection,
        [endpoint],
        suppressions.Source.LINK,
        actor=actor,
        subject=f"address {address_id}",
    )
    return endpoint


async def come_back(connection: AsyncConnection, address_id: int, *, actor: str) -> AddressState:
    """Undo `leave`, and a stop by any other way; returns the address as it is now. Raises
    NotFound."""
    endpoint = (await reachable(connection, address_id)).endpoint
    await suppressions.start(
        connection, [endpoint], actor=actor, revive=False, subject=f"address {address_id}"
    )
    (state,) = await _states(connection, address.c.id == address_id)
    return state


class AddressState(NamedTuple):
    """One address, and everything that speaks against using it."""

    id: int
    channel: str
    endpoint: str
    consent: bool
    verified: bool
    withdrawn_at: datetime | None
    suspended_reason: str | None
    suppression: Suppression | None

    @property
    def used(self) -> bool:
        """True when messages are sent to it."""
        return self.consent and self.verified and self.suspended_reason is None


async def addresses_of(connection: AsyncConnection, ref: str) -> list[AddressState]:
    """The addresses of the citizen with this key of the register. Raises NotFound."""
    who = await connection.scalar(select(citizen.c.id).where(citizen.c.ref == ref))
    if who is None:
        raise NotFound(f"There is no citizen {ref}.")
    return await _states(connection, address.c.citizen_id == who)


async def _states(connection: AsyncConnection, which: ColumnElement[bool]) -> list[AddressState]:
    query = (
        select(
            address.c.id,
            address.c.channel,
            address.c.endpoint,
            address.c.consent,
            address.c.verified,
            address.c.withdrawn_at,
            address.c.suspended_reason,
        )
        .where(which)
        .order_by(address.c.id)
    )
    rows = (await connection.execute(query)).all()
    return [
        AddressState(
            *row, await suppressions.of_endpoint(connection, Endpoint(row.channel, row.endpoint))
        )
        for row in rows
    ]


async def suspend(connection: AsyncConnection, by_reason: Mapping[str, Sequence[int]]) -> None:
    """Suspend addresses that a provider calls dead, until they are verified again.

    An endpoint whose owner, by the provider's word, has opted out is suppressed in every row.

    Args:
        by_reason: Ids of addresses by the code of the provider's error.
    """
    # Suppressions come first: see there.
    for reason, address_ids in sorted(by_reason.items(), key=lambda r: r[0] != _LEFT):
        if reason == _LEFT:
            endpoints = await suppressions.endpoints_of(connection, address_ids)
            carrier = suppressions.Source.CARRIER
            await suppressions.stop(connection, endpoints, carrier, actor="provider")
            continue
        await connection.execute(
            update(address)
            .where(address.c.id.in_(address_ids), address.c.suspended_reason.is_(None))
            .values(suspended_reason=reason, updated_at=func.now())
        )


async def in_groups(connection: AsyncConnection, citizen_id: int, groups: Collection[str]) -> bool:
    """True when a citizen is in one of these closed groups."""
    query = select(citizen.c.id).where(
        citizen.c.id == citizen_id, citizen.c.groups.bool_op("&&")(cast(list(groups), ARRAY(Text)))
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
