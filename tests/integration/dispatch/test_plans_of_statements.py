"""No statement of the live path looks through alerts, work or deliveries that are over.

Some alerts go their whole way beside 20,000 that ended long ago. PostgreSQL then says how it
would run each statement that was said meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from dispatch_harness import DispatchHarness
from psycopg.pq import TransactionStatus

from alerting.cap import to_xml
from alerting.channels.base import DEAD_ADDRESS, Outcome
from alerting.dispatch.intake.cancel import cancel, revoke_all
from alerting.dispatch.status import status
from alerting.domain.alert import Alert, MsgType, Severity, Urgency
from alerting.domain.principal import internal
from alerting.store.admin import providers
from alerting.store.alerts import stored_alerts, stored_events, threads
from alerting.store.ledger import delivery_queries, receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.work import outbox

OLD = 20_000

#: What grows for ever.
TABLES = {"alert", "outbox", "delivery", "digest_item", "delivery_tally"}

_FILL = f"""
    insert into alert (id, sender, identifier, sent_at, order_at, status, msg_type, scope, lane,
      thread_id, event_id, hazards, blocks, document, source, source_hash, state, expires_at,
      submitted_by, submitted_at, planned_at, finished_at, audience)
    select id, 'centre@example.org', 'old-' || n, at, at, 'Actual', 'Alert', 'Public', 'routine',
      id, id, (select hazards from alert limit 1), (select blocks from alert limit 1),
      (select document from alert limit 1), '', '',
      (array['completed','expired','cancelled','superseded','recorded'])[1 + n % 5],
      at + interval '6 hours', 'test', at, at, at + interval '7 hours', 10
    from (select gen_random_uuid() as id, n, now() - make_interval(hours => 50 + 4 * n) as at
          from generate_series(1, {OLD}) as n) as a;

    insert into outbox (alert_id, kind, lane, channel, size, state, done_at, created_at, not_before,
      digest, settled)
    select id, 'deliver', 'routine', 'sms', 10, 'done', submitted_at, submitted_at, submitted_at,
      n % 3 = 0, true
    from (select *, row_number() over () as n from alert where identifier like 'old-%') as a;

    insert into delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no, state,
      reason, accepted_at, settled_at)
    select o.id * 1024 + n, o.alert_id, (o.id * 4 + n) % 15000, (o.id * 4 + n) % 15000, 'sms', 0,
      0, 'delivered', 'new', o.done_at, o.done_at
    from outbox o cross join generate_series(0, 5) as n where o.state = 'done' and o.size = 10;

    insert into digest_item (delivery_id, citizen_id, event_id, alert_id, slot_at)
    select id, citizen_id, alert_id, alert_id, now() + interval '30 days' from delivery
    where id % 4 < 3;

    analyze"""  # noqa: S608 - a number of ours


#: What makes everything due.
_OUR_OWN = "UPDATE outbox SET not_before=(now() - %(now_1)s)"


class Said:
    """The last values of each statement, by its text, as it was said."""

    def __init__(self) -> None:
        self.statements: dict[str, tuple[Any, Any]] = {}

    def note(self, query: Any, values: Any) -> None:
        if isinstance(query, bytes):
            query = query.decode()
        if not isinstance(query, str):
            return
        if re.match(r"\s*(select|with|update|delete|insert)\b", query, re.I):
            self.statements[" ".join(query.split())] = (query, values)


@contextmanager
def heard(said: Said) -> Iterator[None]:
    """Note what anybody says to PostgreSQL."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (psycopg.AsyncCursor, psycopg.AsyncServerCursor):
            say = kind.execute

            def execute(
                self: Any, query: Any, values: Any = None, *, say: Any = say, **options: Any
            ) -> Any:
                said.note(query, values)
                return say(self, query, values, **options)

            patch.setattr(kind, "execute", execute)
        yield


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan goes through from the first row to the last."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in TABLES:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)


def at(
    harness: DispatchHarness, flood: Alert, name: str, severity: Severity, **values: Any
) -> Alert:
    """An alert that is sent now."""
    sent = harness.clock.now().replace(microsecond=0)
    ends = sent + timedelta(hours=20)
    info = replace(
        flood.infos[0], severity=severity, expires=ends, event=name, headline=name, **values
    )
    return replace(flood, identifier=name, sent=sent, infos=(info,))


async def the_way(harness: DispatchHarness, flood: Alert) -> None:
    """Alerts from submission to their end, with whatever happens on the way."""

    async def go(alert: Alert) -> None:
        await harness.submit(to_xml(alert), now=False)
        for _ in range(2):
            await harness.due_now()
            await harness.worker().sweep()
            await harness.maintenance().run_once()
        harness.clock.advance(30)

    answer = harness.channels["sms"].answer
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, DEAD_ADDRESS)
    severe = at(harness, flood, "Flood", Severity.SEVERE)
    await go(severe)
    harness.channels["sms"].answer = answer
    await go(at(harness, flood, "Wildfire", Severity.MODERATE, urgency=Urgency.EXPECTED))
    await go(at(harness, flood, "Avalanche", Severity.MINOR, urgency=Urgency.FUTURE))
    again = at(harness, flood, "Flood", Severity.SEVERE)
    for n, references in enumerate([(severe.triple,), ()]):
        update = replace(again, identifier=f"update-{n}", msg_type=MsgType.UPDATE)
        await go(
            replace(update, sent=harness.clock.now().replace(microsecond=0), references=references)
        )
    async with harness.db.begin() as c:
        alert_id = await stored_alerts.resolve(c, "Avalanche")
        stored = await stored_alerts.get(c, alert_id)
        assert stored is not None
        await status(c, alert_id)
        await delivery_queries.next_due(c, alert_id)
        await outbox.waiting(c)
        await providers.how_well(c, ["sms"], now=harness.clock.now(), span_s=600, late_s=60)
        await threads.live(c, stored.thread_id, before=harness.clock.now(), but=alert_id)
        await receipt_intake.add(c, [NewReceipt("sms", 1, "ok", "delivered", "")])
        other = await stored_alerts.resolve(c, "Wildfire")
        await stored_events.join(c, alert_id, other, by="test")
        await stored_events.part(c, alert_id, by="test")
    # The night is over.
    harness.clock.advance(12 * 3600)
    for _ in range(3):
        await harness.maintenance().run_once()
        await harness.due_now()
        await harness.worker().sweep()
    done = await cancel(
        harness.db,
        alert_id,
        principal=internal("test"),
        clock=harness.clock,
        notifier=harness.notifier,
    )
    await revoke_all(harness.db, harness.clock, done.ended)
    for _ in range(2):
        await harness.due_now()
        await harness.worker().sweep()
        await harness.maintenance().run_once()
    harness.clock.advance(24 * 3600)
    await harness.maintenance().run_once()


async def test_plans_scan_no_finished_rows(
    harness: DispatchHarness, flood: Alert, database_url: str
) -> None:
    harness.begin_at(harness.clock.now().replace(hour=22, minute=30))
    await harness.submit(to_xml(at(harness, flood, "Landslide", Severity.MINOR)), now=False)
    said = Said()
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute(_FILL)
        with heard(said):
            await the_way(harness, flood)
        assert len(said.statements) > 80
        found = {}
        for text, (query, values) in said.statements.items():
            rows = db.execute(f"explain (format json) {query}", values).fetchone()
            assert rows is not None
            if text != _OUR_OWN and (names := set(scanned(rows[0][0]["Plan"]))):
                found[text] = names
        assert db.info.transaction_status is TransactionStatus.IDLE
    assert not found, "\n".join(f"{names}: {text}" for text, names in found.items())
