"""Receipts: what providers report later moves deliveries forward, never back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels.base import ErrorClass
from alerting.channels.twilio_codes import callback_state, classify
from alerting.domain.delivery import TRANSITIONS, DeliveryState
from alerting.store import citizens, escalations
from alerting.store.db import raw

BATCH = 5000

_TAKE = """
    select id, channel, delivery_id, provider_ref, status, code, received_at
    from receipt where applied_at is null order by id limit %(limit)s
    for update skip locked"""

#: One row a delivery: the receipt that says most. PLANNED is movable because a receipt may
#: overtake our own note that the provider took the message.
_MOVE = """
    update delivery d set
      state = r.state, code = r.code,
      reason = case when r.state = 'failed' then r.reason else d.reason end,
      provider_ref = case when d.provider_ref = '' then r.ref else d.provider_ref end,
      accepted_at = case when r.state = 'failed' then d.accepted_at
                         else coalesce(d.accepted_at, r.at) end,
      settled_at = r.at
    from unnest(%(id)s::int8[], %(state)s::text[], %(code)s::text[], %(reason)s::text[],
                %(ref)s::text[], %(at)s::timestamptz[]) as r(id, state, code, reason, ref, at)
    where d.id = r.id and (d.state, r.state) in (select * from
      unnest(%(from)s::text[], %(to)s::text[]))
      and (d.provider_ref = '' or d.provider_ref = r.ref)
    returning d.id, d.address_id, d.code, d.state"""

_RANK = {DeliveryState.ACCEPTED: 0, DeliveryState.FAILED: 1, DeliveryState.DELIVERED: 2}


def _moves() -> tuple[list[str], list[str]]:
    pairs = [(old, new) for old, ends in TRANSITIONS.items() for new in ends if new in _RANK]
    pairs += [(DeliveryState.PLANNED, DeliveryState.ACCEPTED)]
    pairs += [(DeliveryState.PLANNED, DeliveryState.DELIVERED)]
    return [old.value for old, _ in pairs], [new.value for _, new in pairs]


_FROM, _TO = _moves()


async def apply_receipts(connection: AsyncConnection, *, limit: int = BATCH) -> int:
    """Apply up to `limit` waiting receipts in the order they came; returns how many.

    Doubled, late and reordered receipts are harmless: only a move the transition table allows is
    made. A receipt that names a provider reference moves only the attempt that bears it. An
    address that the provider calls dead is suspended. Whoever a failure leaves unreached is looked
    after by `escalate`.
    """
    driver = await raw(connection)
    rows = await (await driver.execute(_TAKE, {"limit": limit})).fetchall()
    if not rows:
        return 0
    best: dict[int, tuple[DeliveryState, str, str, datetime]] = {}
    for _, _channel, delivery_id, ref, status, code, at in rows:
        state = callback_state(status)
        if state is None:
            continue
        known = best.get(delivery_id)
        if known is None or _RANK[state] > _RANK[known[0]]:
            best[delivery_id] = (state, code, ref, at)
    await _move(connection, best)
    await driver.execute(
        "update receipt set applied_at = now() where id = any(%(ids)s)",
        {"ids": [row[0] for row in rows]},
    )
    return len(rows)


async def _move(
    connection: AsyncConnection, best: dict[int, tuple[DeliveryState, str, str, datetime]]
) -> None:
    driver = await raw(connection)
    classes: dict[str, ErrorClass] = {
        code: classify(code) for state, code, _, _ in best.values() if state == "failed" and code
    }
    columns: dict[str, Any] = {
        "id": list(best),
        "state": [state.value for state, _, _, _ in best.values()],
        "code": [code for _, code, _, _ in best.values()],
        "reason": [
            classes[code].code if code in classes else "undelivered"
            for _, code, _, _ in best.values()
        ],
        "ref": [ref for _, _, ref, _ in best.values()],
        "at": [at for _, _, _, at in best.values()],
    }
    cursor = await driver.execute(_MOVE, {**columns, "from": _FROM, "to": _TO})
    dead: dict[str, list[int]] = {}
    failed = []
    for delivery_id, address_id, code, state in await cursor.fetchall():
        if state == DeliveryState.FAILED:
            failed.append(delivery_id)
        if state == DeliveryState.FAILED and code in classes and classes[code].suspend:
            dead.setdefault(classes[code].code, []).append(address_id)
    for reason, address_ids in dead.items():
        await citizens.suspend(connection, address_ids, reason)
    await escalations.look_now(connection, failed)
