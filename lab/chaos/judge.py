"""Compares what the carriers took with who had to be notified and with the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.synthetic import SyntheticCitizen
from alerting.demo.judge import Told, expected_audience
from alerting.domain.alert import Alert
from alerting.domain.delivery import SETTLED
from alerting.errors import WorkFailed
from alerting.store.schema import CHUNK_SPAN
from lab.chaos.watch import Line

_TOOK = ("accepted", "delivered")
_NEVER = ("suppressed", "expired", "revoked")


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery in the ledger at the end of the run."""

    alert_id: UUID
    state: str
    flagged: bool
    reason: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the carriers' logs and the ledger say of one alert.

    Attributes:
        lost: Citizens who had to be notified and were not, at any address that counts.
        unexpected: Addresses that were notified and should not have been.
        duplicates: Messages beyond the first to an address.
        unflagged: Those of them whose deliveries the ledger does not flag as possible duplicates.
        flagged: Deliveries that the ledger flags as possible duplicates.
        unfinished: Deliveries without a final state.
        phantoms: Deliveries accepted by the ledger that no carrier has.
        denied: Deliveries never sent by the ledger that a carrier has.
        held: Deliveries that ended in doubt.
    """

    expected: int
    received: int
    lost: int
    unexpected: int
    duplicates: int
    unflagged: int
    flagged: int
    unfinished: int
    phantoms: int
    denied: int
    held: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom an alert has to notify.

    Attributes:
        any_of: One address of each set, or all of a set where none of them works.
        may: Other addresses that it may notify.
    """

    any_of: Sequence[frozenset[Told]]
    may: frozenset[Told] = frozenset()

    @property
    def addresses(self) -> frozenset[Told]:
        return self.may.union(*self.any_of)

    def missed(self, lines: Iterable[Line]) -> int:
        """The number of sets that these messages did not notify."""
        tried, arrived = set(), set()
        for line in lines:
            tried.add((line.channel, line.to))
            if line.outcome == "delivered":
                arrived.add((line.channel, line.to))
        return sum(1 for some in self.any_of if some.isdisjoint(arrived) and not some <= tried)


def wanted(alert: Alert, citizens: Sequence[SyntheticCitizen], *, all_channels: bool) -> Wanted:
    """Every address of everyone in the area. Where one channel is enough and others follow when
    it fails, any address of each citizen."""
    expected = expected_audience(alert, citizens, all_channels=all_channels)
    if all_channels:
        return Wanted([frozenset({t}) for t in sorted(expected)])
    return Wanted(
        [
            frozenset(c.endpoints.items())
            for c in citizens
            if not expected.isdisjoint(c.endpoints.items())
        ]
    )


def wanted_of_end(lines: Iterable[Line], citizens: Iterable[SyntheticCitizen]) -> Wanted:
    """Every address that these lines notified. The end may use another address of the same
    citizen, whose message a cancel stopped between planning and the call; never one of a citizen
    who was not notified."""
    reached = {(line.channel, line.to) for line in lines}
    theirs = (frozenset(c.endpoints.items()) for c in citizens)
    return Wanted(
        [frozenset({address}) for address in sorted(reached)],
        frozenset().union(*(each for each in theirs if not reached.isdisjoint(each))),
    )


async def ledger(database_url: str) -> dict[int, Row]:
    """Every delivery by its id."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(
            "select id, alert_id, state, possible_duplicate, reason, provider from delivery"
        )
        return {row[0]: Row(*row[1:]) async for row in cursor}


async def unfinished_chunks(database_url: str) -> int:
    """The number of rows of the outbox that wait, are worked on, or were set aside."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("select count(*) from outbox where state <> 'done'")
        row = await cursor.fetchone()
        return row[0] if row else 0


def of_alert(lines: Iterable[Line], rows: Mapping[int, Row], alert_id: UUID) -> list[Line]:
    """The lines of one alert. A line with an unknown delivery belongs to every alert."""
    chunks = {
        delivery_id // CHUNK_SPAN for delivery_id, r in rows.items() if r.alert_id == alert_id
    }
    return [
        line
        for line in lines
        if line.ref is None or line.ref not in rows or line.ref // CHUNK_SPAN in chunks
    ]


def judge(want: Wanted, lines: Sequence[Line], rows: Mapping[int, Row]) -> Judgement:
    """Compare the lines and ledger rows of one alert with who had to be notified."""
    refs: dict[Told, list[int | None]] = defaultdict(list)
    for line in lines:
        refs[line.channel, line.to].append(line.ref)
    allowed = want.addresses
    doubled = {address: found for address, found in refs.items() if len(found) > 1}
    taken = {line.ref for line in lines}
    final = {state.value for state in SETTLED}
    return Judgement(
        expected=len(want.any_of),
        received=len(lines),
        lost=want.missed(lines),
        unexpected=sum(1 for address in refs if address not in allowed),
        duplicates=sum(len(found) - 1 for found in doubled.values()),
        unflagged=sum(
            len(found) - 1
            for found in doubled.values()
            if not any(ref in rows and rows[ref].flagged for ref in found if ref is not None)
        ),
        flagged=sum(1 for r in rows.values() if r.flagged),
        unfinished=sum(1 for r in rows.values() if r.state not in final),
        phantoms=sum(1 for i, r in rows.items() if r.state in _TOOK and i not in taken),
        denied=sum(1 for i, r in rows.items() if i in taken and r.state in _NEVER),
        held=sum(1 for r in rows.values() if r.state == "failed" and r.reason == "in-doubt"),
    )


async def committed_at(database_url: str, alert_id: UUID) -> datetime:
    """When the transaction that stored an alert was committed, by PostgreSQL's own record.

    References are written with their alert and never changed, so their transaction is the alert's.
    """
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(
            """select pg_xact_commit_timestamp(xmin) from alert_reference
               where alert_id = %s limit 1""",
            (alert_id,),
        )
        row = await cursor.fetchone()
        if row is None or row[0] is None:
            raise WorkFailed(f"Nobody knows when {alert_id} was committed.")
        at: datetime = row[0]
        return at


async def receipts_open(connection: AsyncConnection) -> int:
    """The number of SMS whose last receipt has not come or is not applied."""
    count = await connection.scalar(
        text("select count(*) from delivery where channel = 'sms' and state = 'accepted'")
    )
    return int(count or 0)
