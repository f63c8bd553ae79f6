"""Suppressions: endpoints whose owners opted out, in every row that has them.

A suppression is of an endpoint, in any spelling. Who writes one marks every address of it in the
same transaction, and the import marks those that come later; so planner and sender look at the
address alone (`consent`), and as fast as ever.

Lock order: suppressions before addresses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.endpoint import endpoint_key, normal_form
from alerting.store import audit_log
from alerting.store.db import raw
from alerting.store.schema import address


class Source(StrEnum):
    """How somebody said stop."""

    LINK = "link"
    REPLY = "reply"
    #: The carrier says that they did (Twilio's 21610).
    CARRIER = "carrier"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Source.LINK: "Its owner left by the link in a message",
    Source.REPLY: "Its owner answered STOP",
    Source.CARRIER: "The carrier says that its owner answered STOP",
}

#: The key under which endpoints are kept; the schema's revision 0016 makes it.
SECRET = "select value from secret where name = 'suppression'"  # noqa: S105 - where it is

#: What somebody said themselves is not forgotten because a carrier says the same later.
_STOP = """
    insert into suppression as s (channel, key, source)
    select * from unnest(%(channels)s::text[], %(keys)s::bytea[], %(sources)s::text[])
    on conflict (channel, key) do update set
      source = excluded.source, stopped_at = clock_timestamp(), changed_at = clock_timestamp(),
      lifted_at = null
    where s.lifted_at is not null or s.source = 'carrier' and excluded.source <> 'carrier'"""

#: SQL: address `a` has this endpoint, in any spelling.
_IS = """(a.endpoint = any(%(endpoints)s::text[]) or a.folded = any(%(endpoints)s::text[]))
      and (a.channel, coalesce(a.folded, a.endpoint)) in (
        select * from unnest(%(channels)s::text[], %(endpoints)s::text[]))"""

MARK = f"""
    update address a set consent_before = a.consent, consent = false,
      withdrawn_at = clock_timestamp(), updated_at = now()
    where {_IS} and a.withdrawn_at is null"""  # noqa: S608 - nothing from outside

_LIFT = """
    update suppression s set lifted_at = clock_timestamp(), changed_at = clock_timestamp()
    from unnest(%(channels)s::text[], %(keys)s::bytea[]) as k(channel, key)
    where s.channel = k.channel and s.key = k.key and s.lifted_at is null"""

#: Consent is given back as the register has it.
GIVE_BACK = f"""
    update address a set consent = coalesce(a.consent_before, true), consent_before = null,
      withdrawn_at = null, updated_at = now()
    where {_IS} and a.withdrawn_at is not null"""  # noqa: S608 - nothing from outside

_REVIVE = f"""
    update address a set suspended_reason = null, updated_at = now()
    where {_IS} and a.suspended_reason is not null"""  # noqa: S608 - nothing from outside

_USED = f"""
    select exists (select from address a
      where {_IS} and a.consent and a.verified and a.suspended_reason is null)"""  # noqa: S608 - nothing from outside


class Endpoint(NamedTuple):
    channel: str
    endpoint: str


class Suppression(NamedTuple):
    source: Source
    stopped_at: datetime

    @property
    def sentence(self) -> str:
        return f"{self.source.sentence}, on {self.stopped_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC."


async def endpoints_of(connection: AsyncConnection, address_ids: Collection[int]) -> list[Endpoint]:
    """The endpoints of these addresses that are still known."""
    query = select(address.c.channel, address.c.endpoint).where(address.c.id.in_(address_ids))
    return [Endpoint(*row) for row in await connection.execute(query)]


async def stop(
    connection: AsyncConnection,
    endpoints: Iterable[Endpoint],
    source: Source,
    *,
    actor: str,
    subject: str = "",
) -> None:
    """Write to none of these endpoints again, by whosever row. Said twice it changes nothing.

    Args:
        subject: What the audit says that it was about; empty for the channels.
    """
    values = await _values(connection, endpoints)
    if not values["keys"]:
        return
    driver = await raw(connection)
    changed = await driver.execute(
        _STOP, values | {"sources": [source.value] * len(values["keys"])}
    )
    marked = await driver.execute(MARK, values)
    if changed.rowcount or marked.rowcount:
        detail = {"source": source.value, "addresses": marked.rowcount}
        await audit_log.record(
            connection, actor, "consent.withdraw", subject or _channels(values), detail
        )


async def start(
    connection: AsyncConnection,
    endpoints: Iterable[Endpoint],
    *,
    actor: str,
    revive: bool,
    subject: str = "",
    why: str = "",
) -> int:
    """Take back what `stop` did; returns how many addresses may be written to again.

    Consent comes back where the register has it, nowhere else.

    Args:
        revive: Addresses that a provider called dead are tried again too.
    """
    values = await _values(connection, endpoints)
    if not values["keys"]:
        return 0
    driver = await raw(connection)
    lifted = (await driver.execute(_LIFT, values)).rowcount
    given = (await driver.execute(GIVE_BACK, values)).rowcount
    revived = (await driver.execute(_REVIVE, values)).rowcount if revive else 0
    if lifted or given or revived:
        detail = {"why": why, "addresses": given + revived}
        await audit_log.record(
            connection, actor, "consent.give", subject or _channels(values), detail
        )
    return given + revived


async def of_endpoint(connection: AsyncConnection, endpoint: Endpoint) -> Suppression | None:
    """How and when the owner of an endpoint said stop; None where they did not."""
    values = await _values(connection, [endpoint])
    driver = await raw(connection)
    cursor = await driver.execute(
        """select source, stopped_at from suppression
           where channel = any(%(channels)s) and key = any(%(keys)s::bytea[])
             and lifted_at is null""",
        values,
    )
    row = await cursor.fetchone()
    return None if row is None else Suppression(Source(row[0]), row[1])


async def is_used(connection: AsyncConnection, endpoint: Endpoint) -> bool:
    """Whether anything is sent to this endpoint, by any row."""
    driver = await raw(connection)
    cursor = await driver.execute(_USED, await _values(connection, [endpoint]))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def secret(connection: AsyncConnection) -> bytes:
    """The key under which endpoints are kept."""
    return bytes((await connection.exec_driver_sql(SECRET)).scalar_one())


async def _values(
    connection: AsyncConnection, endpoints: Iterable[Endpoint]
) -> dict[str, list[str] | list[bytes]]:
    return arrays(await secret(connection), endpoints)


def arrays(key: bytes, endpoints: Iterable[Endpoint]) -> dict[str, list[str] | list[bytes]]:
    """In the order of their keys, so that two who write the same never wait for each other."""
    by_key = {endpoint_key(key, *e): (e.channel, normal_form(*e)) for e in endpoints}
    keys = sorted(by_key)
    return {
        "keys": keys,
        "channels": [by_key[k][0] for k in keys],
        "endpoints": [by_key[k][1] for k in keys],
    }


def _channels(values: dict[str, list[str] | list[bytes]]) -> str:
    return "endpoint " + " ".join(sorted({str(c) for c in values["channels"]}))
