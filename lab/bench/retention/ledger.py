"""A ledger for the bench of retention: alerts of a given age, each delivery with its whole life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg

from alerting.errors import WorkFailed
from alerting.store.schema import CHUNK_SPAN

#: Deliveries in a chunk.
CHUNK = 1000

#: The tables that grow with every delivery.
TABLES = ("delivery", "receipt", "outbox")

_ALERT = """
    insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane, thread_id,
      event_id, document, source, source_hash, state, expires_at, submitted_by, submitted_at,
      planned_at, finished_at)
    select %(id)s, 'bench', %(id)s::text, t, 'Actual', 'Alert', 'Public', 'routine', %(id)s, %(id)s,
      '{}', '', '', 'completed', t, 'bench', t, t, t
    from (select now() - make_interval(days => %(age)s) as t) as a"""

_CHUNK = """
    insert into outbox (alert_id, kind, lane, channel, size, state, done_at)
    values (%s, 'deliver', 'routine', 'sms', %s, 'done', now()) returning id"""

#: As the planner, a worker and a receipt write them, one after the other.
_PLANNED = """
    insert into delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no)
    select %(first)s + n, %(alert)s, %(citizen)s + n, %(citizen)s + n, 'sms', 0, 0
    from generate_series(0, %(size)s - 1) as n"""

_ACCEPTED = """
    update delivery set state = 'accepted', reason = 'new', provider = 'sms.1', tries = 1,
      provider_ref = 'SM' || md5(id::text), attempted_at = now(), accepted_at = now(),
      settled_at = now()
    where id >= %(first)s and id < %(end)s"""

_RECEIPTS = """
    insert into receipt (channel, delivery_id, provider_ref, status, applied_at)
    select 'sms', id, provider_ref, 'delivered', now() from delivery
    where id >= %(first)s and id < %(end)s"""

_DELIVERED = """
    update delivery set state = 'delivered', settled_at = now()
    where id >= %(first)s and id < %(end)s"""


@dataclass(frozen=True, slots=True)
class Bytes:
    """What the tables that grow take on disk."""

    tables: int
    indexes: int

    @property
    def total(self) -> int:
        return self.tables + self.indexes


def fill(db: psycopg.Connection[Any], deliveries: int, *, age_days: int) -> UUID:
    """An alert that ended `age_days` ago, with its deliveries by SMS, all delivered."""
    alert_id = uuid4()
    db.execute(_ALERT, {"id": alert_id, "age": age_days})
    for start in range(0, deliveries, CHUNK):
        size = min(CHUNK, deliveries - start)
        row = db.execute(_CHUNK, (alert_id, size)).fetchone()
        first = (row or (0,))[0] * CHUNK_SPAN
        span = {"first": first, "end": first + size}
        db.execute(_PLANNED, {**span, "alert": alert_id, "citizen": start, "size": size})
        for statement in (_ACCEPTED, _RECEIPTS, _DELIVERED):
            db.execute(statement, span)
    return alert_id


def doubt(db: psycopg.Connection[Any], alert_id: UUID) -> None:
    """Leave one delivery of an alert open."""
    db.execute(
        """update delivery set state = 'in_doubt' where id = (
             select max(id) * %s from outbox where alert_id = %s)""",
        (CHUNK_SPAN, alert_id),
    )


def size(db: psycopg.Connection[Any]) -> Bytes:
    """Bytes on disk now."""
    row = db.execute(
        """select sum(pg_table_size(oid))::int8, sum(pg_indexes_size(oid))::int8
           from pg_class where oid = any(%s::regclass[])""",
        (list(TABLES),),
    ).fetchone()
    return Bytes(*(row or (0, 0)))


def judge(db: psycopg.Connection[Any], *, kept: dict[UUID, int], pruned: dict[UUID, int]) -> None:
    """Raise WorkFailed unless exactly what is old is gone, and its sums are right.

    Args:
        kept, pruned: Each alert's deliveries.
    """
    for name, count in (("deliveries", "*"), ("receipts", "r.id")):
        rows = db.execute(
            f"""select d.alert_id, count({count}) from delivery d
                left join receipt r on r.channel = 'sms' and r.delivery_id = d.id
                group by 1"""  # noqa: S608 - nothing from outside
        ).fetchall()
        if dict(rows) != kept:
            raise WorkFailed(f"The {name} of the alerts in use are not all there, or others are.")
    lost = db.execute(
        """select count(*) from receipt r
           where not exists (select from delivery d where d.id = r.delivery_id)"""
    ).fetchone()
    if lost != (0,):
        raise WorkFailed("Receipts of what was pruned are left.")
    sums = db.execute(
        """select a.id, sum(p.count)::int8 from alert a join pruned_delivery p on p.alert_id = a.id
           where a.pruned_at is not null and p.state = 'delivered' group by 1"""
    ).fetchall()
    if dict(sums) != pruned:
        raise WorkFailed("The sums that are kept of what was pruned are wrong.")
