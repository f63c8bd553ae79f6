"""Outcomes of deliveries, written in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import SETTLED, DeliveryState
from alerting.store.db import int8s, raw
from alerting.store.states import D, W, among, settles

#: Values that the outcomes of one window share are sent once; nearly all end alike.
_RECORD = f"""
    update delivery d set
      state = case when {settles("d.state", "k.state")} then k.state else d.state end,
      reason = k.reason, code = k.code, silent = k.silent,
      due_at = case when k.state = '{D.DEFERRED}' then k.due_at else d.due_at end,
      deferrals = d.deferrals + (k.state = '{D.DEFERRED}')::int,
      provider = case when k.provider = '' then d.provider else k.provider end,
      provider_ref = case when r.provider_ref = '' then d.provider_ref else r.provider_ref end,
      possible_duplicate = d.possible_duplicate or k.possible_duplicate,
      tries = d.tries + k.tried,
      attempted_at = case when k.tried > 0 then coalesce(k.attempted_at, d.attempted_at)
                          else d.attempted_at end,
      accepted_at = case when k.state in ('{D.ACCEPTED}','{D.DELIVERED}')
                         then coalesce(d.accepted_at, %(now)s) else d.accepted_at end,
      settled_at = case when k.state in {among(s for s in D if s in SETTLED)}
                        then coalesce(d.settled_at, %(now)s) else d.settled_at end
    from unnest(%(id)s::int8[], %(provider_ref)s::text[], %(kind)s::int4[])
      as r(id, provider_ref, kind)
    join unnest(%(state)s::text[], %(reason)s::text[], %(code)s::text[],
                %(possible_duplicate)s::bool[], %(tried)s::int2[], %(attempted_at)s::timestamptz[],
                %(silent)s::bool[], %(due_at)s::timestamptz[], %(provider)s::text[])
      with ordinality as k(state, reason, code, possible_duplicate, tried, attempted_at, silent,
                           due_at, provider, no)
      on k.no = r.kind
    where d.id = r.id"""  # noqa: S608

#: The same, only where the worker still holds the chunk.
_RECORD_HELD = f"""{_RECORD}
      and exists (select from outbox o
                  where o.id = %(work)s and o.fence = %(fence)s and o.state = '{W.LEASED}')"""

_KIND = (
    "state", "reason", "code", "possible_duplicate", "tried", "attempted_at", "silent", "due_at",
    "provider",
)  # fmt: skip


class OutcomeRow(NamedTuple):
    """The outcome of one delivery. A tuple, because a worker makes thousands a second.

    Attributes:
        tried: 1 when the provider was called.
        silent: It must not interrupt.
        due_at: When a deferred one is evaluated again; None when it waits for its citizen's digest.
            It is kept in the ledger: a delivery deferred on purpose is late only after it.
    """

    delivery_id: int
    state: DeliveryState
    reason: str
    code: str = ""
    provider_ref: str = ""
    possible_duplicate: bool = False
    tried: int = 0
    attempted_at: datetime | None = None
    silent: bool = False
    due_at: datetime | None = None
    provider: str = ""


async def record_outcomes(
    connection: AsyncConnection, outcome_rows: Iterable[OutcomeRow], *, now: datetime
) -> None:
    """Write outcomes and decisions in bulk.

    A row that a receipt has moved on meanwhile keeps its state and gains only the details: states
    move forward. PLANNED records a refusal that will be retried.
    """
    rows = list(outcome_rows)
    if rows:
        await (await raw(connection)).execute(_RECORD, _values(rows, now))


def outcome_statements(
    outcome_rows: Sequence[OutcomeRow], *, now: datetime, work_id: int, fence: int
) -> tuple[str, dict[str, Any]]:
    """The statements of `record_outcomes`, for a pipeline that does not wait for the proof of
    the lease: they change nothing where another worker holds the work."""
    return _RECORD_HELD, _values(outcome_rows, now) | {"work": work_id, "fence": fence}


def _values(rows: Sequence[OutcomeRow], now: datetime) -> dict[str, Any]:
    kinds: dict[tuple[object, ...], int] = {}
    which = []
    for r in rows:
        kind = (
            r.state.value, r.reason, r.code, r.possible_duplicate, r.tried, r.attempted_at,
            r.silent, r.due_at, r.provider,
        )  # fmt: skip
        which.append(kinds.setdefault(kind, len(kinds) + 1))
    columns = dict(zip(_KIND, map(list, zip(*kinds, strict=True)), strict=True))
    return columns | {
        "id": int8s(r.delivery_id for r in rows),
        "kind": int8s(which),
        "provider_ref": [r.provider_ref for r in rows],
        "now": now,
    }
