"""Documents are read and parsed once by a process; how an alert stands is read each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from dispatch_harness import DispatchHarness
from sqlalchemy import event
from sqlalchemy.engine import Engine

from alerting.cap import to_xml
from alerting.dispatch.documents import Documents
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.store.alerts import alert_progress
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database


@contextmanager
def documents_read() -> Iterator[list[str]]:
    """The statements that ask for whole documents while the block lasts."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "alert.document," in statement:
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def load(db: Database, documents: Documents, alert_id: UUID) -> StoredAlert:
    async with db.begin() as connection:
        stored = await documents.get(connection, alert_id)
    assert stored is not None
    return stored


async def submitted(harness: DispatchHarness, alert: Alert, count: int = 1) -> list[UUID]:
    named = [replace(alert, identifier=f"{alert.identifier}-{n}") for n in range(count)]
    return [(await harness.submit(to_xml(a))).alert_id for a in named]


async def test_document_is_read_once_for_many_chunks(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    await harness.due_now()
    with documents_read() as found:
        await harness.worker().sweep_in_order()
    assert len(harness.sent) > 4 * harness.settings.chunk_size
    # The planner and every chunk share what was parsed.
    assert len(found) == 1


async def test_submit_does_not_read_back_its_document(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    with documents_read() as found:
        await harness.submit(alert_xml)
    # Others are looked for: of the same name, alike, newer. Its own row is not asked for by its id.
    assert found
    assert [one for one in found if "WHERE alert.id = " in " ".join(one.split())] == []


async def test_document_is_parsed_once_but_state_read_each_time(
    harness: DispatchHarness, flood: Alert
) -> None:
    (alert_id,) = await submitted(harness, flood)
    documents = Documents()
    before = await load(harness.db, documents, alert_id)
    said = before.alert
    async with harness.db.begin() as connection:
        await alert_progress.set_state(
            connection, alert_id, AlertState.CANCELLED, ended_by=alert_id
        )
    with documents_read() as found:
        after = await load(harness.db, documents, alert_id)
    assert not found
    assert after.alert is said
    assert (after.state, after.ended_by) == (AlertState.CANCELLED, alert_id)
    assert after.document == before.document
    assert said.identifier == before.identifier


async def test_document_cache_evicts_least_recently_used(
    harness: DispatchHarness, flood: Alert
) -> None:
    first, second, third = await submitted(harness, flood, 3)
    documents = Documents(most=2)
    for alert_id in (first, second, first, third):
        await load(harness.db, documents, alert_id)
    with documents_read() as found:
        for alert_id in (first, third, second):
            await load(harness.db, documents, alert_id)
    assert len(found) == 1


async def test_document_cache_keeps_only_the_last_long_one(
    harness: DispatchHarness, flood: Alert
) -> None:
    first, second = await submitted(harness, flood, 2)
    documents = Documents(most_characters=10)
    for alert_id in (first, second):
        await load(harness.db, documents, alert_id)
    with documents_read() as found:
        await load(harness.db, documents, second)
        assert not found
        await load(harness.db, documents, first)
    assert len(found) == 1
