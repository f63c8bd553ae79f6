"""Receipts: applies what providers report after accepting; moves deliveries forward, never back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import reports
from alerting.domain.delivery import DeliveryState
from alerting.store.citizens import directory
from alerting.store.ledger import escalations, receipt_moves
from alerting.store.ledger.receipt_moves import REPORTED, Move, Receipt

#: The most receipts in one transaction: it locks their deliveries, which workers write too.
BATCH = 2000

#: Of several receipts for one attempt the one with the highest rank counts.
_SAYS_MORE = {state: n for n, state in enumerate(REPORTED)}


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of one batch.

    Attributes:
        taken: Receipts it read.
        left: Those of them that were not applied, because a worker is writing their delivery or
            chunk; the next call retries them.
    """

    taken: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Reported:
    receipt: Receipt
    report: reports.Report

    @property
    def move(self) -> Move:
        error = self.report.error
        reason = error.code if error is not None else "undelivered"
        return Move(self.receipt, self.report.state, reason)


async def apply_receipts(connection: AsyncConnection, *, limit: int = BATCH) -> Applied:
    """Apply up to `limit` waiting receipts in the order they came.

    Duplicate, late and reordered receipts are harmless: only moves that the transition table allows
    are made. An address that the provider calls dead is suspended. The chunk of a failed delivery
    is marked for escalation; while a worker is writing that chunk, the receipt stays unapplied.
    """
    taken = await receipt_moves.take(connection, limit=limit)
    if not taken:
        return Applied()
    held, busy = await receipt_moves.hold(connection, {r.delivery_id for r in taken})
    failed: set[int] = set()
    for said in _rounds(r for r in taken if r.delivery_id in held):
        await _move(connection, said)
        failed |= {s.receipt.delivery_id for s in said if s.report.state is DeliveryState.FAILED}
    # A worker may be releasing their chunks now without having seen the failures. Instead of
    # waiting for it, the receipts stay unapplied until their chunk is marked.
    busy.update(await escalations.look_now(connection, sorted(failed)))
    done = [r.id for r in taken if r.delivery_id not in busy]
    await receipt_moves.applied(connection, done)
    return Applied(len(taken), len(taken) - len(done))


def _rounds(receipts: Iterable[Receipt]) -> list[list[_Reported]]:
    """One receipt for each attempt, in rounds with one attempt of each delivery: one statement
    updates a row only once."""
    best: dict[tuple[int, str, str], _Reported] = {}
    for r in receipts:
        report = reports.read(r.channel, r.status, r.code)
        if report is None:
            continue
        key = (r.delivery_id, r.channel, r.ref)
        known = best.get(key)
        if known is None or _SAYS_MORE[report.state] > _SAYS_MORE[known.report.state]:
            best[key] = _Reported(r, report)
    rounds: list[list[_Reported]] = []
    seen: dict[int, int] = defaultdict(int)
    for (delivery_id, _, _), said in best.items():
        number = seen[delivery_id]
        seen[delivery_id] += 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(said)
    return rounds


async def _move(connection: AsyncConnection, said: list[_Reported]) -> None:
    """Make the moves that the table allows, and suspend the addresses that they report as dead."""
    errors = {s.receipt.delivery_id: s.report.error for s in said}
    dead: dict[str, list[int]] = defaultdict(list)
    for moved in await receipt_moves.move(connection, [s.move for s in said]):
        error = errors[moved.delivery_id]
        if moved.state == DeliveryState.FAILED and error is not None and error.suspend:
            dead[moved.reason].append(moved.address_id)
    await directory.suspend(connection, dead)
