"""Receipts: what providers report later moves deliveries forward, never back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import reports
from alerting.channels.base import ErrorClass
from alerting.domain.delivery import TRANSITIONS, DeliveryState
from alerting.store import citizens, escalations
from alerting.store.db import raw

#: Receipts of one transaction at most: it holds their deliveries, and workers write those too.
BATCH = 2000

_TAKE = """
    select id, channel, delivery_id, provider_ref, status, code, received_at
    from receipt where applied_at is null order by id limit %(limit)s
    for update skip locked"""

#: Never waits for a worker that is writing one of them, so that neither can block the other.
_LOCK = """
    select id from delivery where id = any(%(ids)s) order by id for no key update skip locked"""

_THERE = "select id from delivery where id = any(%(ids)s)"

#: PLANNED is movable because a receipt may overtake our own note that the provider took the
#: message. Who has it has it, by whichever try: only a failure is of the try it names.
_MOVE = """
    update delivery d set
      state = r.state, code = r.code,
      reason = case when r.state = 'failed' then r.reason else d.reason end,
      provider_ref = case when d.provider_ref = '' then r.ref else d.provider_ref end,
      accepted_at = case when r.state = 'failed' then d.accepted_at
                         else coalesce(d.accepted_at, r.at) end,
      settled_at = r.at
    from unnest(%(id)s::int8[], %(channel)s::text[], %(state)s::text[], %(code)s::text[],
                %(reason)s::text[], %(ref)s::text[], %(at)s::timestamptz[])
      as r(id, channel, state, code, reason, ref, at)
    where d.id = r.id and d.channel = r.channel
      and (d.state, r.state) in (select * from unnest(%(from)s::text[], %(to)s::text[]))
      and (d.provider_ref = '' or r.ref = '' or d.provider_ref = r.ref or r.state = 'delivered')
    returning d.id, d.address_id, d.state, d.reason"""

_APPLIED = "update receipt set applied_at = now() where id = any(%(ids)s)"

_RANK = {DeliveryState.ACCEPTED: 0, DeliveryState.FAILED: 1, DeliveryState.DELIVERED: 2}


def _moves() -> tuple[list[str], list[str]]:
    pairs = [(old, new) for old, ends in TRANSITIONS.items() for new in ends if new in _RANK]
    pairs += [(DeliveryState.PLANNED, DeliveryState.ACCEPTED)]
    pairs += [(DeliveryState.PLANNED, DeliveryState.DELIVERED)]
    return [old.value for old, _ in pairs], [new.value for _, new in pairs]


_FROM, _TO = _moves()


@dataclass(frozen=True, slots=True)
class Applied:
    """What one batch came to. taken: how many receipts it looked at. left: how many of them wait
    for a worker that is writing their deliveries or chunks."""

    taken: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Taken:
    id: int
    channel: str
    delivery_id: int
    ref: str
    status: str
    code: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Move:
    receipt: _Taken
    report: reports.Report


async def apply_receipts(connection: AsyncConnection, *, limit: int = BATCH) -> Applied:
    """Apply up to `limit` waiting receipts in the order they came.

    Doubled, late and reordered receipts are harmless: only a move the transition table allows is
    made. A receipt that names a provider reference moves only the attempt that bears it, unless it
    proves delivery. An address that the provider calls dead is suspended. The chunk of
    a delivery that failed is marked for escalation; where a worker is writing that chunk, the
    receipt stays unapplied until the next call.
    """
    driver = await raw(connection)
    rows = await (await driver.execute(_TAKE, {"limit": limit})).fetchall()
    if not rows:
        return Applied()
    taken = [_Taken(*row) for row in rows]
    held, busy = await _hold(driver, {r.delivery_id for r in taken})
    failed: set[int] = set()
    for moves in _rounds(r for r in taken if r.delivery_id in held):
        await _move(connection, moves)
        failed |= {m.receipt.delivery_id for m in moves if m.report.state is DeliveryState.FAILED}
    # A worker may be giving back their chunks right now without having seen the failures. It is
    # not waited for; the receipts stay until the look is noted.
    busy.update(await escalations.look_now(connection, sorted(failed)))
    done = [r.id for r in taken if r.delivery_id not in busy]
    await driver.execute(_APPLIED, {"ids": done})
    return Applied(len(taken), len(taken) - len(done))


async def _hold(driver: Any, ids: set[int]) -> tuple[set[int], set[int]]:
    """Lock the deliveries: those that are ours now, and those that another is writing."""
    wanted = {"ids": sorted(ids)}
    held = {row[0] for row in await (await driver.execute(_LOCK, wanted)).fetchall()}
    if len(held) == len(ids):
        return held, set()
    missing = {"ids": sorted(ids - held)}
    there = {row[0] for row in await (await driver.execute(_THERE, missing)).fetchall()}
    return held, there


def _rounds(receipts: Iterable[_Taken]) -> list[list[_Move]]:
    """One receipt a try, the one that says most; several tries of a delivery one after the other,
    since one statement moves a row once."""
    best: dict[tuple[int, str, str], _Move] = {}
    for r in receipts:
        report = reports.read(r.channel, r.status, r.code)
        if report is None:
            continue
        key = (r.delivery_id, r.channel, r.ref)
        known = best.get(key)
        if known is None or _RANK[report.state] > _RANK[known.report.state]:
            best[key] = _Move(r, report)
    rounds: list[list[_Move]] = []
    seen: dict[int, int] = defaultdict(int)
    for (delivery_id, _, _), move in best.items():
        number = seen[delivery_id]
        seen[delivery_id] += 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(move)
    return rounds


async def _move(connection: AsyncConnection, moves: list[_Move]) -> None:
    """Make the moves the table allows, and suspend the addresses that died by them."""
    driver = await raw(connection)
    errors = {m.receipt.delivery_id: m.report.error for m in moves}
    cursor = await driver.execute(
        _MOVE,
        {
            "id": [m.receipt.delivery_id for m in moves],
            "channel": [m.receipt.channel for m in moves],
            "state": [m.report.state.value for m in moves],
            "code": [m.receipt.code for m in moves],
            "reason": [_reason(m.report.error) for m in moves],
            "ref": [m.receipt.ref for m in moves],
            "at": [m.receipt.at for m in moves],
            "from": _FROM,
            "to": _TO,
        },
    )
    dead: dict[str, list[int]] = defaultdict(list)
    for delivery_id, address_id, state, reason in await cursor.fetchall():
        error = errors[delivery_id]
        if state == DeliveryState.FAILED and error is not None and error.suspend:
            dead[reason].append(address_id)
    await citizens.suspend(connection, dead)


def _reason(error: ErrorClass | None) -> str:
    return error.code if error is not None else "undelivered"
