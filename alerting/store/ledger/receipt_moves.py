"""Receipts that wait to be applied, and the transitions of deliveries they cause."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import DeliveryState
from alerting.store.db import raw
from alerting.store.states import D, moves

_TAKE = """
    select id, channel, delivery_id, provider_ref, status, code, received_at
    from receipt where applied_at is null order by id limit %(limit)s
    for update skip locked"""

#: Never waits for a worker that is writing one of them, so that neither can block the other.
_LOCK = """
    select id from delivery where id = any(%(ids)s) order by id for no key update skip locked"""

_THERE = "select id from delivery where id = any(%(ids)s)"


_MOVE = f"""
    update delivery d set
      state = r.state, code = r.code,
      reason = case when r.state = '{D.FAILED}' then r.reason else d.reason end,
      provider_ref = case when d.provider_ref = '' then r.ref else d.provider_ref end,
      accepted_at = case when r.state = '{D.FAILED}' then d.accepted_at
                         else coalesce(d.accepted_at, r.at) end,
      settled_at = r.at
    from unnest(%(id)s::int8[], %(channel)s::text[], %(state)s::text[], %(code)s::text[],
                %(reason)s::text[], %(ref)s::text[], %(at)s::timestamptz[])
      as r(id, channel, state, code, reason, ref, at)
    where d.id = r.id and d.channel = r.channel
      and (d.state, r.state) in (select * from unnest(%(from)s::text[], %(to)s::text[]))
      and (d.provider_ref = '' or r.ref = '' or d.provider_ref = r.ref or r.state = '{D.DELIVERED}')
    returning d.id, d.address_id, d.state, d.reason"""  # noqa: S608 - nothing from outside

_APPLIED = "update receipt set applied_at = now() where id = any(%(ids)s)"

#: States that a receipt may report.
REPORTED = (D.ACCEPTED, D.FAILED, D.DELIVERED)
_FROM, _TO = moves(*REPORTED)


class Receipt(NamedTuple):
    """One report about one delivery, in the provider's words, as it was kept."""

    id: int
    channel: str
    delivery_id: int
    ref: str
    status: str
    code: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """The new state of a delivery by a receipt.

    Attributes:
        reason: The ledger's reason, for a failure.
    """

    receipt: Receipt
    state: DeliveryState
    reason: str


class Moved(NamedTuple):
    delivery_id: int
    address_id: int
    state: str
    reason: str


async def take(connection: AsyncConnection, *, limit: int) -> list[Receipt]:
    """The first `limit` waiting receipts, oldest first, locked for this transaction."""
    driver = await raw(connection)
    rows = await (await driver.execute(_TAKE, {"limit": limit})).fetchall()
    return [Receipt(*row) for row in rows]


async def hold(
    connection: AsyncConnection, delivery_ids: Collection[int]
) -> tuple[set[int], set[int]]:
    """Lock deliveries: returns those that are locked now, and those that another transaction
    holds."""
    driver = await raw(connection)
    wanted = {"ids": sorted(delivery_ids)}
    held = {row[0] for row in await (await driver.execute(_LOCK, wanted)).fetchall()}
    if len(held) == len(delivery_ids):
        return held, set()
    missing = {"ids": sorted(set(delivery_ids) - held)}
    there = {row[0] for row in await (await driver.execute(_THERE, missing)).fetchall()}
    return held, there


async def move(connection: AsyncConnection, wanted: Sequence[Move]) -> list[Moved]:
    """Make the transitions that the table allows, one for each delivery; returns those made.

    A receipt with a provider's reference moves only the attempt with that reference, unless it
    proves delivery.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        _MOVE,
        {
            "id": [m.receipt.delivery_id for m in wanted],
            "channel": [m.receipt.channel for m in wanted],
            "state": [m.state.value for m in wanted],
            "code": [m.receipt.code for m in wanted],
            "reason": [m.reason for m in wanted],
            "ref": [m.receipt.ref for m in wanted],
            "at": [m.receipt.at for m in wanted],
            "from": _FROM,
            "to": _TO,
        },
    )
    return [Moved(*row) for row in await cursor.fetchall()]


async def applied(connection: AsyncConnection, receipt_ids: Sequence[int]) -> None:
    """Mark these receipts as applied."""
    await (await raw(connection)).execute(_APPLIED, {"ids": list(receipt_ids)})
