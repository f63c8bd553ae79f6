"""PostgreSQL keeps real alerts and drills apart, whatever code writes to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

_INSERT = """
    insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane, thread_id,
                       event_id, document, source, source_hash, state, expires_at, submitted_by)
    values (%(id)s, 'met@example.org', %(id)s::text, now(), %(status)s, 'Alert', %(scope)s,
            'severe', %(thread)s, %(event)s, '{}', '', '', 'accepted', now() + interval '1 h',
            'somebody')"""

#: Two classes of which one thread or one event never holds both.
MIXTURES = {
    "exercise": (("Actual", "Public"), ("Exercise", "Public")),
    "test": (("Actual", "Public"), ("Test", "Public")),
    "test of an exercise": (("Exercise", "Private"), ("Test", "Private")),
    "system": (("Actual", "Public"), ("System", "Public")),
    "private": (("Actual", "Public"), ("Actual", "Private")),
    "restricted": (("Actual", "Private"), ("Actual", "Restricted")),
    "private exercise": (("Exercise", "Public"), ("Exercise", "Private")),
}

#: What an alert is never changes.
FIXED = {
    "status": "Exercise",
    "scope": "Private",
    "sender": "fire@example.org",
    "identifier": "another",
    "sent_at": datetime(2026, 1, 1, tzinfo=UTC),
    "msg_type": "Cancel",
}

#: By a constraint or by a trigger.
REFUSED = (psycopg.errors.IntegrityError, psycopg.errors.RaiseException)


@pytest.fixture(scope="module")
def psql(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        yield connection


def insert(psql: psycopg.Connection, klass: tuple[str, str], *, thread: UUID, event: UUID) -> UUID:
    id_ = uuid4()
    status, scope = klass
    psql.execute(
        _INSERT,
        {"id": id_, "status": status, "scope": scope, "thread": thread, "event": event},
    )
    return id_


@pytest.mark.parametrize("turned", [False, True], ids=["first is there", "second is there"])
@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
@pytest.mark.parametrize("shared", ["thread", "event"])
def test_insert_mixing_classes_fails(
    psql: psycopg.Connection,
    mixture: tuple[tuple[str, str], tuple[str, str]],
    turned: bool,
    shared: str,
) -> None:
    first, second = reversed(mixture) if turned else mixture
    ids = {"thread": uuid4(), "event": uuid4()}
    insert(psql, first, **ids)
    insert(psql, first, **ids)
    other = {"thread": uuid4(), "event": uuid4()} | {shared: ids[shared]}
    with pytest.raises(psycopg.errors.IntegrityError):
        insert(psql, second, **other)
    # On its own it is welcome.
    insert(psql, second, thread=uuid4(), event=uuid4())


@pytest.mark.parametrize("shared", ["thread", "event"])
def test_update_mixing_classes_fails(psql: psycopg.Connection, shared: str) -> None:
    ids = {"thread": uuid4(), "event": uuid4()}
    insert(psql, ("Actual", "Public"), **ids)
    drill = insert(psql, ("Exercise", "Public"), thread=uuid4(), event=uuid4())
    with pytest.raises(psycopg.errors.IntegrityError):
        change(psql, "alert", f"{shared}_id", ids[shared], of=drill)


@pytest.mark.parametrize("shared", ["thread", "event"])
def test_thread_or_event_keeps_its_class(psql: psycopg.Connection, shared: str) -> None:
    ids = {"thread": uuid4(), "event": uuid4()}
    insert(psql, ("Actual", "Public"), **ids)
    for column, value in (("status", "Exercise"), ("scope", "Private")):
        with pytest.raises(REFUSED):
            change(psql, shared, column, value, of=ids[shared])


@pytest.mark.parametrize("column", FIXED)
def test_alert_identity_never_changes(psql: psycopg.Connection, column: str) -> None:
    id_ = insert(psql, ("Actual", "Public"), thread=uuid4(), event=uuid4())
    before = psql.execute("select * from alert where id = %s", (id_,)).fetchone()
    with pytest.raises(REFUSED):
        change(psql, "alert", column, FIXED[column], of=id_)
    assert psql.execute("select * from alert where id = %s", (id_,)).fetchone() == before
    # What comes of it does change.
    change(psql, "alert", "state", "completed", of=id_)


def change(psql: psycopg.Connection, table: str, column: str, value: object, *, of: UUID) -> None:
    query = sql.SQL("update {} set {} = %s where id = %s")
    psql.execute(query.format(sql.Identifier(table), sql.Identifier(column)), (value, of))
