"""Bulk import: one batch of register rows becomes citizens, addresses, places and geocodes.

A batch is copied into temporary tables and merged with a handful of statements, so a million rows
cost minutes and memory stays flat.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Any

import psycopg

from alerting.domain.endpoint import endpoint_key, normal_form
from alerting.store.citizens.suppressions import SECRET, Endpoint


@dataclass(frozen=True, slots=True)
class RegisterAddress:
    """verified_anew, consented_anew: the register names the channel as verified, as consented,
    instead of leaving it open."""

    channel: str
    endpoint: str
    consent: bool
    verified: bool
    keys: dict[str, str] = field(default_factory=dict)
    verified_anew: bool = False
    consented_anew: bool = False


@dataclass(frozen=True, slots=True)
class RegisterPlace:
    name: str
    lat: float
    lon: float
    radius_m: float
    cell: int


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """One citizen as in the register; `hash` changes with any of their data."""

    ref: str
    language: str
    time_zone: str
    quiet_from: time | None
    quiet_to: time | None
    channels: tuple[str, ...]
    groups: tuple[str, ...]
    addresses: tuple[RegisterAddress, ...]
    places: tuple[RegisterPlace, ...]
    geocodes: tuple[tuple[str, str], ...]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch changed, in numbers of citizens.

    Attributes:
        came_back: Endpoints that are still suppressed because a carrier said so, and that the
            register says were verified and agreed to again. The caller gives them back
            (`suppressions.start`).
    """

    added: int
    changed: int
    unchanged: int
    came_back: Sequence[Endpoint] = ()


_TEMPORARY = """
    create temp table if not exists new_citizen (
      ref text, language text, time_zone text, quiet_from time, quiet_to time,
      channels text[], groups text[], hash bytea, citizen_id int8) on commit drop;
    create temp table if not exists new_address (
      ref text, channel text, endpoint text, folded text, key bytea, keys jsonb, consent bool,
      verified bool, revive bool, consented_anew bool) on commit drop;
    create temp table if not exists new_place (
      ref text, no int2, name text, lat float8, lon float8, radius_m float4, cell int8)
      on commit drop;
    create temp table if not exists new_geocode (ref text, name text, value text) on commit drop"""

#: Only rows whose hash differs are touched, so a second import of the same file writes nothing.
_MERGE = """
    delete from new_citizen n using citizen c where c.ref = n.ref and c.register_hash = n.hash"""

_UPSERT = """
    with merged as (
      insert into citizen (ref, language, time_zone, quiet_from, quiet_to, channels, groups,
                           register_hash)
      select ref, language, time_zone, quiet_from, quiet_to, channels, groups, hash
      from new_citizen
      on conflict (ref) do update set
        language = excluded.language, time_zone = excluded.time_zone,
        quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to,
        channels = excluded.channels, groups = excluded.groups,
        register_hash = excluded.register_hash, updated_at = now()
      returning id, ref, xmax = 0 as added)
    update new_citizen n set citizen_id = m.id from merged m where m.ref = n.ref
    returning m.added"""

_DETAILS = (
    """delete from place p using new_citizen n where p.citizen_id = n.citizen_id""",
    """insert into place (citizen_id, no, name, lat, lon, radius_m, cell)
       select n.citizen_id, p.no, p.name, p.lat, p.lon, p.radius_m, p.cell
       from new_place p join new_citizen n using (ref)""",
    """delete from citizen_geocode g using new_citizen n where g.citizen_id = n.citizen_id""",
    """insert into citizen_geocode (citizen_id, name, value)
       select distinct n.citizen_id, g.name, g.value
       from new_geocode g join new_citizen n using (ref)""",
    # Whoever says stop from now on waits until these addresses are there to be marked. Before any
    # of them is touched: see `suppressions` for the order of locks.
    "lock table suppression in share row exclusive mode",
    # Another spelling of the same endpoint is the same address: links in old mails go on.
    """update address a set endpoint = w.endpoint, folded = w.folded, updated_at = now()
       from new_address w join new_citizen n using (ref)
       where a.citizen_id = n.citizen_id and a.channel = w.channel and a.endpoint <> w.endpoint
         and coalesce(a.folded, a.endpoint) = coalesce(w.folded, w.endpoint)
         and not exists (select from address x where x.citizen_id = n.citizen_id
                         and x.channel = w.channel and x.endpoint = w.endpoint)""",
    # An address that left the register goes, unless the citizen spoke about it: that is kept.
    """delete from address a using new_citizen n
       where a.citizen_id = n.citizen_id and a.withdrawn_at is null
         and not exists (select from new_address w where w.ref = n.ref
                         and w.channel = a.channel and w.endpoint = a.endpoint)""",
    """insert into address (citizen_id, channel, endpoint, folded, keys, verified, consent,
                            consent_before, withdrawn_at)
       select n.citizen_id, a.channel, a.endpoint, a.folded, a.keys, a.verified,
              a.consent and s.key is null, case when s.key is not null then a.consent end,
              s.stopped_at
       from new_address a join new_citizen n using (ref)
       left join suppression s
         on s.channel = a.channel and s.key = a.key and s.lifted_at is null
       on conflict (citizen_id, channel, endpoint) do update set
         keys = excluded.keys, verified = excluded.verified, folded = excluded.folded,
         updated_at = now(),
         withdrawn_at = coalesce(address.withdrawn_at, excluded.withdrawn_at),
         consent = excluded.consent and address.withdrawn_at is null,
         consent_before =
           case when coalesce(address.withdrawn_at, excluded.withdrawn_at) is not null
           then excluded.consent or coalesce(excluded.consent_before, false) end""",
    # The register says that it was verified anew, so what a provider said of it before is over.
    """update address a set suspended_reason = null
       from new_address w join new_citizen n using (ref)
       where w.revive and a.citizen_id = n.citizen_id and a.channel = w.channel
         and a.endpoint = w.endpoint and a.suspended_reason is not null""",
)

#: Endpoints that a carrier says have left, and a changed line that they agreed to again.
_CAME_BACK = """
    select distinct a.channel, a.endpoint from new_address a join suppression s
      on s.channel = a.channel and s.key = a.key and s.lifted_at is null and s.source = 'carrier'
    where a.revive and a.consented_anew"""


async def merge(driver: psycopg.AsyncConnection[Any], rows: Sequence[RegisterRow]) -> Merged:
    """Change the directory to what `rows` say, in the caller's transaction.

    A suppressed endpoint is not written to, in any row and any spelling. Callers refuse a ref that
    comes twice in one batch.
    """
    await driver.execute(_TEMPORARY)
    async with driver.cursor() as cursor:
        async with cursor.copy(
            "copy new_citizen (ref, language, time_zone, quiet_from, quiet_to, channels, groups,"
            " hash) from stdin"
        ) as copy:
            for r in rows:
                await copy.write_row(
                    (
                        r.ref, r.language, r.time_zone, r.quiet_from, r.quiet_to,
                        list(r.channels), list(r.groups), r.hash,
                    )
                )  # fmt: skip
        same = (await cursor.execute(_MERGE)).rowcount
        changed_refs = {row[0] for row in await _all(cursor, "select ref from new_citizen")}
        added, came_back = 0, []
        if changed_refs:
            secret = (await _all(cursor, SECRET))[0][0]
            await _copy_details(cursor, secret, [r for r in rows if r.ref in changed_refs])
            came_back = [Endpoint(*row) for row in await _all(cursor, _CAME_BACK)]
            added = sum(row[0] for row in await _all(cursor, _UPSERT))
            for statement in _DETAILS:
                await cursor.execute(statement)
        await cursor.execute("drop table new_citizen, new_address, new_place, new_geocode")
    return Merged(added, len(changed_refs) - added, same, came_back)


async def _copy_details(
    cursor: psycopg.AsyncCursor[Any], secret: bytes, rows: Sequence[RegisterRow]
) -> None:
    async with cursor.copy(
        "copy new_address (ref, channel, endpoint, folded, key, keys, consent, verified, revive,"
        " consented_anew) from stdin"
    ) as copy:
        for r in rows:
            for a in r.addresses:
                normal = normal_form(a.channel, a.endpoint)
                await copy.write_row(
                    (
                        r.ref, a.channel, a.endpoint, normal if normal != a.endpoint else None,
                        endpoint_key(secret, a.channel, a.endpoint), json.dumps(a.keys),
                        a.consent, a.verified, a.verified_anew, a.consented_anew,
                    )
                )  # fmt: skip
    async with cursor.copy(
        "copy new_place (ref, no, name, lat, lon, radius_m, cell) from stdin"
    ) as copy:
        for r in rows:
            for no, p in enumerate(r.places):
                await copy.write_row((r.ref, no, p.name, p.lat, p.lon, p.radius_m, p.cell))
    async with cursor.copy("copy new_geocode (ref, name, value) from stdin") as copy:
        for r in rows:
            for name, value in r.geocodes:
                await copy.write_row((r.ref, name, value))


async def _all(cursor: psycopg.AsyncCursor[Any], query: str) -> list[Any]:
    await cursor.execute(query)
    return await cursor.fetchall()
