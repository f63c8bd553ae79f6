"""A restored database agrees with its providers before anybody sends from it again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from databases import Databases
from dispatch_harness import DispatchHarness, Recorder
from planners import planner_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.stop_list import StopList, read
from alerting.channels.base import DEAD_ADDRESS, CannotLookUp, Outcome, Outgoing
from alerting.dispatch.maillog import MailLog
from alerting.dispatch.plan import Planner
from alerting.dispatch.reconcile import Reconciled, Reconciler
from alerting.domain.links import Links
from alerting.domain.principal import internal
from alerting.errors import BadInput, Conflict, NotAllowed, Unavailable
from alerting.store.admin import api_keys
from alerting.store.citizens import stops, suppressions
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import Database
from alerting.store.work import restored
from alerting.store.work.presence import Presence

Restore = Callable[[], Awaitable[DispatchHarness]]


@dataclass
class Remembers(Recorder):
    """A provider that can be asked what it took."""

    took: list[Outgoing] = field(default_factory=list)
    ill: bool = False
    dead: frozenset[str] = frozenset()

    async def look_up(self, message: Outgoing, *, since: object) -> Outcome | None:
        if self.ill:
            raise CannotLookUp
        for m in self.took:
            if (m.endpoint, m.rendering.text) == (message.endpoint, message.rendering.text):
                error = DEAD_ADDRESS if m.endpoint in self.dead else None
                return Outcome(message.delivery_id, error, provider_ref="known")
        return None


@pytest.fixture
async def restore(
    harness: DispatchHarness, databases: Databases, database_url: str
) -> AsyncIterator[Restore]:
    """Takes a backup of the database now; awaiting it twice restores the same one anew."""
    opened: list[DispatchHarness] = []
    name = database_url.partition("?")[0].rpartition("/")[2]
    copies: list[str] = []

    async def copy() -> DispatchHarness:
        # A copy stands elsewhere, as a dump that was restored does.
        await harness.db.close()
        copies.append(f"{name}_{len(copies)}")
        databases.copy(name, copies[-1])
        url = database_url.replace(f"/{name}?", f"/{copies[-1]}?")
        there = DispatchHarness(
            Database(url),
            harness.clock,
            harness.notifier,
            harness.settings,
            {n: Recorder(n) for n in harness.channels},
            harness.citizens,
        )
        there.url = url  # type: ignore[attr-defined]
        opened.append(there)
        return there

    yield copy
    for there in opened:
        await there.close()
        await there.db.close()
    for one in copies:
        databases.drop(one)


async def reconcile(there: DispatchHarness, **options: object) -> Reconciled:
    db = Database(restored.reconciling(there.url))  # type: ignore[attr-defined]
    values: dict[str, object] = {"since": there.clock.now() - timedelta(seconds=1)} | options
    try:
        return await Reconciler(
            db,
            there.clock,
            there.routes(),
            Links(b"k" * 32),
            there.settings,
            Planner(db, there.clock, there.notifier, there.settings),
            **values,  # type: ignore[arg-type]
        ).run(actor="test")
    finally:
        await db.close()


async def half_planned(harness: DispatchHarness, alert_xml: bytes) -> UUID:
    """An alert whose planner dies after two batches, with nobody told yet."""
    submitted = await harness.submit(alert_xml)

    async def die_after_two(batch: int) -> None:
        if batch > 2:
            raise asyncio.CancelledError

    with suppress(asyncio.CancelledError):
        await planner_of(harness, die_after_two).run(await harness.claim("planner"))
    return submitted.alert_id


async def let_go(harness: DispatchHarness) -> None:
    """The dead planner's lease runs out."""
    async with harness.db.begin() as c:
        await c.execute(
            text("update outbox set lease_until = now() - interval '1 s' where state = 'leased'")
        )


async def sent_on(harness: DispatchHarness, count: int) -> dict[str, list[Outgoing]]:
    """The old system goes on until `count` messages are out; what providers took, by channel."""
    await let_go(harness)
    for channel in harness.channels.values():

        def stop(m: Outgoing) -> Outcome:
            if len(harness.sent) > count:
                raise asyncio.CancelledError
            return Outcome(m.delivery_id, provider_ref="ok")

        channel.answer = stop
    with suppress(asyncio.CancelledError):
        await harness.worker().sweep()
    return {name: list(c.sent) for name, c in harness.channels.items()}


def remembering(there: DispatchHarness, took: dict[str, list[Outgoing]]) -> None:
    there.channels["sms"] = Remembers("sms", took=took["sms"])


def mail_log(took: dict[str, list[Outgoing]]) -> list[str]:
    lines = []
    for n, m in enumerate(took["email"]):
        lines += [
            f"mx postfix/qmgr[1]: 4F00{n:04X}: from=<b+{m.delivery_id}@bounce.example.org>, size=9",
            f"mx postfix/smtp[1]: 4F00{n:04X}: to=<{m.endpoint}>, status=sent",
        ]
    return lines


async def test_workers_refuse_until_reconciled(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    await half_planned(harness, alert_xml)
    there = await restore()
    async with there.db.begin() as c:
        assert not await restored.is_home(c)
    await let_go(there)
    with pytest.raises(psycopg.Error, match=r"restored from a backup.*alerting reconcile"):
        await there.worker().sweep()
    assert there.sent == []
    await reconcile(there)
    there.settings.in_doubt_wait_s = 0
    await there.due_now()
    await there.worker().sweep()
    assert {m.endpoint for m in there.sent} == {e for _, e in there.expected(alert_xml)}
    async with there.db.begin() as c:
        assert await restored.is_home(c)


async def test_reconcile_leaves_no_duplicate_and_no_gap(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    """Also of those who were not even planned when the backup was made."""
    alert_id = await half_planned(harness, alert_xml)
    there = await restore()
    in_backup = {r["id"] for r in await there.rows(alert_id)}
    took = await sent_on(harness, 190)
    assert sum(map(len, took.values())) > len(in_backup)
    remembering(there, took)
    done = await reconcile(there, mail_log=mail_log(took))
    assert done.alerts == (alert_id,)
    assert done.planned == len(there.expected(alert_xml)) - len(in_backup)
    there.settings.in_doubt_wait_s = 0
    await there.due_now()
    await there.worker().sweep()
    twice = Counter(m.endpoint for m in there.sent) + Counter(
        m.endpoint for part in took.values() for m in part
    )
    assert set(twice) == {e for _, e in there.expected(alert_xml)}
    rows = await there.rows(alert_id)
    assert {r["state"] for r in rows} == {"accepted"}
    doubled = [e for e, n in twice.items() if n > 1]
    sms = {m.endpoint for m in took["sms"]}
    assert not sms & set(doubled)
    assert len(doubled) <= sum(r["possible_duplicate"] for r in rows)
    # Mails that were planned in the backup are known by their delivery.
    known = {m.endpoint for m in took["email"] if m.delivery_id in in_backup}
    assert known
    assert not known & set(doubled)


async def test_reconcile_marks_unknown_outcomes_in_doubt(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    alert_id = await half_planned(harness, alert_xml)
    there = await restore()
    took = await sent_on(harness, 60)
    remembering(there, took)
    there.channels["sms"].ill = True  # type: ignore[attr-defined]
    done = await reconcile(there, resend=["push"])
    assert (done.accepted, done.failed) == (0, 0)
    by_channel: dict[str, set[str]] = {}
    for row in await there.rows(alert_id):
        by_channel.setdefault(row["channel"], set()).add(row["state"])
    assert by_channel == {"sms": {"in_doubt"}, "email": {"in_doubt"}, "push": {"planned"}}
    assert all(
        r["possible_duplicate"] for r in await there.rows(alert_id) if r["channel"] == "push"
    )


async def test_reconcile_keeps_doubt_and_resends_it(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    alert_id = await half_planned(harness, alert_xml)
    there = await restore()
    remembering(there, await sent_on(harness, 60))
    since = there.clock.now() - timedelta(seconds=1)

    async def pushes() -> set[tuple[str, bool]]:
        rows = await there.rows(alert_id)
        return {(r["state"], r["possible_duplicate"]) for r in rows if r["channel"] == "push"}

    await reconcile(there, since=since)
    assert await pushes() == {("in_doubt", False)}
    await reconcile(there, since=since, resend=["push"])
    assert await pushes() == {("in_doubt", True)}
    async with there.db.begin() as c:
        await c.execute(text("update outbox set lane = 'routine' where kind = 'deliver'"))
    there.settings.in_doubt_wait_s = 0
    await there.due_now()
    await there.worker().sweep()
    assert await pushes() == {("accepted", True)}


async def test_reconcile_marks_lost_messages_failed(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    alert_id = await half_planned(harness, alert_xml)
    there = await restore()
    took = await sent_on(harness, 60)
    remembering(there, took)
    dead = frozenset(m.endpoint for m in took["sms"][:3])
    there.channels["sms"].dead = dead  # type: ignore[attr-defined]
    done = await reconcile(there)
    assert done.failed == len(dead) > 0
    assert done.accepted == len(took["sms"]) - len(dead)
    ledger = await there.ledger(alert_id)
    assert ledger["sms", "failed", "dead-address"] == len(dead)


async def test_reconcile_can_be_repeated(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    await half_planned(harness, alert_xml)
    there = await restore()
    took = await sent_on(harness, 60)
    remembering(there, took)
    since = there.clock.now() - timedelta(seconds=1)
    first = await reconcile(there, since=since, mail_log=mail_log(took))
    again = await reconcile(there, since=since, mail_log=mail_log(took))
    assert again.accepted == 0
    assert again.unsent <= first.unsent
    await there.worker().sweep()
    assert took["email"]
    for channel in ("sms", "email"):
        sent = {m.endpoint for m in there.channels[channel].sent}
        assert not sent & {m.endpoint for m in took[channel]}


async def test_reconcile_never_reuses_ids_known_to_providers(
    harness: DispatchHarness, alert_xml: bytes, restore: Restore
) -> None:
    alert_id = await half_planned(harness, alert_xml)
    there = await restore()
    in_backup = {r["id"] for r in await there.rows(alert_id)}
    took = await sent_on(harness, 190)
    await reconcile(there)
    known = {m.delivery_id for part in took.values() for m in part}
    assert known - in_backup
    new = {r["id"] for r in await there.rows(alert_id)} - in_backup
    assert new
    assert not new & known


async def test_reconcile_refuses_while_workers_send(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    await half_planned(harness, alert_xml)
    harness.url = database_url  # type: ignore[attr-defined]
    async with Presence(database_url).shown():
        with pytest.raises(Conflict, match=r"1 workers are using this database.*Stop every worker"):
            await reconcile(harness)
    with pytest.raises(BadInput, match="in the future"):
        await reconcile(harness, since=harness.clock.now() + timedelta(hours=1))


def test_maillog_tells_what_was_taken() -> None:
    log = MailLog(
        [
            "Nov  1 06:00:00 mx postfix/qmgr[9]: 4F1A2B3C4D: from=<b+7@bounce.example.org>, size=1",
            "Nov  1 06:00:00 mx postfix/smtp[9]: 4F1A2B3C4D: to=<a@example.org>, status=sent",
            "Nov  1 06:00:00 mx postfix/qmgr[9]: 5F1A2B3C4D: from=<B+90.x1@bounce.example.org>,",
            "Nov  1 06:00:00 mx postfix/smtp[9]: 5F1A2B3C4D: to=<New@example.org>, status=sent",
            "Nov  1 06:00:00 mx postfix/smtp[9]: 6F1A2B3C4D: to=<c@example.org>, status=sent",
            "",
        ],
        known_below=50,
    )
    assert log.took(7, "a@example.org") is True
    assert log.took(8, "a@example.org") is False
    # Planned after the backup: known by its address alone, and not for certain.
    assert log.took(1090, "new@example.org") is None
    assert log.took(1091, "c@example.org") is False


async def test_reconcile_keeps_opt_outs_after_the_backup(
    harness: DispatchHarness, restore: Restore, alert_xml: bytes, tmp_path: Path
) -> None:
    expected = sorted(e for channel, e in harness.expected(alert_xml) if channel == "sms")
    left, back, other = expected[:3]
    async with harness.db.begin() as c:
        await stop(c, Endpoint("sms", back))
    there = await restore()
    # What happens on the old system after its dump.
    async with harness.db.begin() as c:
        await stop(c, Endpoint("sms", left))
        await suppressions.start(c, [Endpoint("sms", back)], actor="citizen", revive=False)
    path = tmp_path / "stops.jsonl"
    await StopList(harness.db, path).write()
    async with there.db.begin() as c:
        said = read(path, await stops.lineage(c))
    done = await reconcile(there, said=said)
    assert done.stops == 2
    assert (await reconcile(there, said=said)).stops == 0
    await there.submit(alert_xml)
    await there.worker().sweep()
    notified = {m.endpoint for m in there.channels["sms"].sent}
    assert left not in notified
    assert {back, other} <= notified
    # And whoever has the number by a later line of the register.
    async with there.db.begin() as c:
        found = await suppressions.of_endpoint(c, Endpoint("sms", left))
    assert found is not None


async def stop(connection: AsyncConnection, endpoint: Endpoint) -> None:
    await suppressions.stop(connection, [endpoint], Source.REPLY, actor="citizen")


@pytest.mark.parametrize("keep", [False, True])
async def test_reconcile_suspends_keys_until_revocations_are_known(
    harness: DispatchHarness, restore: Restore, alert_xml: bytes, keep: bool
) -> None:
    async with harness.db.begin() as c:
        key = await api_keys.create(c, "leaver", ["submit"], senders=("*",), by=internal("test"))
    # A database knows where it is from its first work on.
    await harness.submit(alert_xml)
    await harness.worker().sweep()
    there = await restore()
    async with there.db.begin() as c:
        with pytest.raises(Unavailable, match=r"restored from a backup.* `alerting reconcile`"):
            await api_keys.verify(c, key)
    done = await reconcile(there, keep_keys=keep)
    assert done.keys == (() if keep else ("leaver",))
    async with there.db.begin() as c:
        if keep:
            assert (await api_keys.verify(c, key)).name == "leaver"
        else:
            with pytest.raises(NotAllowed, match="not valid"):
                await api_keys.verify(c, key)
