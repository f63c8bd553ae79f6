"""A database of many years: alerts that are over with their deliveries, one that is being sent, and
a night's digests that are due."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from alerting import examples
from alerting.cap import read, to_json
from alerting.domain.retime import sent_now
from alerting.store.schema import CHUNK_SPAN

#: Deliveries of an alert that is over, and of a chunk of the others.
OF_OLD, CHUNK = 100, 1000

#: Alerts that a night's digests are about.
NIGHT = 20

#: What a delivery with its indexes, its share of an alert and of the log takes on disk.
BYTES = 500

#: Rows of one statement of the filling.
_STEP = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """alerts: that are over. running: deliveries of the one that is being sent. due: digests."""

    alerts: int
    running: int
    due: int

    @property
    def deliveries(self) -> int:
        return self.alerts * OF_OLD + self.running + self.due

    def of(self, share: float) -> Size:
        """So much of it, and never nothing."""
        return Size(*(max(1000, int(n * share)) for n in (self.alerts, self.running, self.due)))


_ALERTS = """
    insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane, thread_id,
      event_id, hazards, blocks, document, source, source_hash, state, expires_at, submitted_by,
      submitted_at, planned_at, finished_at, audience, tallied)
    select id, 'centre-' || n %% 50 || '@example.org', 'old-' || n, at, 'Actual', 'Alert', 'Public',
      (array['severe','routine'])[1 + n %% 2], id, id, array['hazard-' || n %% 30],
      array['block-' || n %% 500], %(document)s::jsonb, '', '',
      (array['completed','completed','expired','cancelled','superseded'])[1 + n %% 5],
      at + interval '6 hours', 'bench', at, at, at + interval '7 hours', 100, false
    from (select gen_random_uuid() as id, n,
                 now() - interval '1 day' - n * interval '3650 days' / %(count)s as at
          from generate_series(1, %(count)s) as n) as a"""

_CHUNKS = """
    insert into outbox (alert_id, kind, lane, channel, size, state, done_at, created_at, not_before,
      settled)
    select id, 'deliver', lane, 'sms', %(size)s, 'done', finished_at, submitted_at, submitted_at,
      true
    from alert where identifier like 'old-%%' order by submitted_at"""

_OLD = """
    insert into delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no, state,
      reason, provider, provider_ref, tries, planned_at, attempted_at, accepted_at, settled_at)
    select o.id * %(span)s + n, o.alert_id, c.id, c.id, 'sms', 0, 0, 'delivered', 'new', 'sms.1',
      'SM' || md5(n::text), 1, o.created_at, o.created_at, o.created_at, o.done_at
    from outbox o
    cross join generate_series(0, %(size)s - 1) as n
    cross join lateral (select (o.id * 7919 + n * 104729) %% %(citizens)s as id) as c
    where o.id > %(after)s and o.id <= %(to)s and o.size = %(size)s"""

_ALIVE = """
    insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane, thread_id,
      event_id, document, source, source_hash, state, expires_at, submitted_by, planned_at,
      audience)
    values (%(id)s, 'centre@example.org', %(name)s, now(), 'Actual', 'Alert', 'Public', 'routine',
      %(id)s, %(id)s, %(document)s::jsonb, '', '', 'delivering', now() + interval '1 day', 'bench',
      now(), %(audience)s)"""

_CHUNK = """
    insert into outbox (alert_id, kind, lane, channel, size, state, done_at)
    values (%s, 'deliver', 'routine', 'sms', %s, %s, now()) returning id"""

_PLANNED = """
    insert into delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no)
    select %(first)s + n, %(alert)s, %(citizen)s + n, %(citizen)s + n, 'sms', 0, 0
    from generate_series(0, %(size)s - 1) as n"""

_ACCEPTED = """
    update delivery set state = 'accepted', reason = 'new', tries = 1,
      accepted_at = now() + (id %% 600) * interval '1 second'
    where id >= %(first)s and id < %(first)s + %(size)s"""

_DEFERRED = """
    update delivery set state = 'deferred', reason = 'quiet-hours'
    where id >= %(first)s and id < %(first)s + %(size)s"""

_ITEMS = """
    insert into digest_item (delivery_id, citizen_id, event_id, alert_id, slot_at)
    select id, citizen_id, alert_id, alert_id, now() - interval '1 minute' from delivery
    where id >= %(first)s and id < %(first)s + %(size)s"""

#: As a worker leaves digests that the provider took.
_SENT = """
    with gone as (
      update outbox set state = 'done', done_at = now() where digest and state = 'ready'
      returning id, size)
    update delivery d set state = 'accepted', reason = 'digested', accepted_at = now()
    from gone where d.id >= gone.id * %(span)s and d.id < gone.id * %(span)s + gone.size"""


def fill(db: psycopg.Connection[Any], size: Size) -> UUID:
    """Write all of it; returns the alert that is being sent. The session must be a superuser's."""
    db.execute("set synchronous_commit = off")
    flood = sent_now(read(examples.FLOOD.read_bytes()).alerts[0], datetime.now(UTC))
    document = json.dumps(to_json(flood))
    db.execute(_ALERTS, {"document": document, "count": size.alerts})
    db.execute(_CHUNKS, {"size": OF_OLD})
    # What is over was never counted, and is not noted row by row.
    db.execute("set session_replication_role = replica")
    last = _last_chunk(db)
    citizens = size.running + size.due
    for after in range(0, last, _STEP // OF_OLD):
        values = {"span": CHUNK_SPAN, "size": OF_OLD, "citizens": citizens}
        db.execute(_OLD, {**values, "after": after, "to": after + _STEP // OF_OLD})
    db.execute("set session_replication_role = origin")
    running = _alive(db, "running", document, size.running)
    for n, start in enumerate(range(0, size.running, CHUNK)):
        # Most of it is done.
        done = n % 5 > 0
        span = _chunk(db, running, start, min(CHUNK, size.running - start), done=done)
        if done:
            db.execute(_ACCEPTED, span)
    each = -(-size.due // NIGHT)
    for n in range(NIGHT):
        alert_id = _alive(db, f"night-{n}", document, each)
        for start in range(n * each, min((n + 1) * each, size.due), CHUNK):
            end = min(start + CHUNK, (n + 1) * each, size.due)
            span = _chunk(db, alert_id, size.running + start, end - start, done=True)
            db.execute(_DEFERRED, span)
            db.execute(_ITEMS, span)
    db.execute("vacuum (analyze)")
    return running


def send(db: psycopg.Connection[Any]) -> None:
    """Let every digest have gone out."""
    db.execute(_SENT, {"span": CHUNK_SPAN})


def _last_chunk(db: psycopg.Connection[Any]) -> int:
    row = db.execute("select max(id) from outbox").fetchone()
    return int(row[0]) if row else 0


def _alive(db: psycopg.Connection[Any], name: str, document: str, audience: int) -> UUID:
    alert_id = uuid4()
    db.execute(_ALIVE, {"id": alert_id, "name": name, "document": document, "audience": audience})
    return alert_id


def _chunk(
    db: psycopg.Connection[Any], alert_id: UUID, citizen: int, size: int, *, done: bool
) -> dict[str, Any]:
    """A chunk with its planned deliveries; returns where they are."""
    row = db.execute(_CHUNK, (alert_id, size, "done" if done else "ready")).fetchone()
    first = (row or (0,))[0] * CHUNK_SPAN
    span = {"first": first, "alert": alert_id, "citizen": citizen, "size": size}
    db.execute(_PLANNED, span)
    return span
