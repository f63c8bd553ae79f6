"""What is old leaves the ledger, whole events at a time; what is in use never does."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import text

from alerting.cap import read, to_xml
from alerting.dispatch.evaluation.explain import explain
from alerting.dispatch.intake.cancel import cancel
from alerting.dispatch.prune import CHUNKS, Pruned, Pruner
from alerting.dispatch.status import status
from alerting.domain.principal import internal
from alerting.domain.retime import sent_now
from alerting.errors import Gone
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.work import restored

DAYS = 400
DAY_S = 86_400

#: Everything that hangs on an alert's deliveries.
LEDGER = ("delivery", "outbox", "receipt", "digest_item")
#: What is never pruned.
KEPT = ("citizen", "address", "place", "alert", "idempotency", "api_key", "silence")


@dataclass
class Old:
    """An alert that ended long ago, as it was submitted."""

    id: UUID
    data: bytes
    ledger: dict[tuple[str, str, str], int]

    @property
    def deliveries(self) -> int:
        return sum(self.ledger.values())


async def notified(harness: DispatchHarness, alert_xml: bytes, name: str = "") -> Old:
    """An alert that went out, with its receipts."""
    alert = sent_now(read(alert_xml).alerts[0], harness.clock.now())
    data = to_xml(alert).replace(b"example-flood-0001", b"example-flood-0001" + name.encode())
    submitted = await harness.submit(data, now=False, idempotency_key=f"key{name}")
    await harness.worker().sweep()
    rows = await harness.rows(submitted.alert_id)
    async with harness.db.begin() as c:
        some = [r["id"] for r in rows if r["channel"] == "sms"]
        await receipt_intake.add(c, [NewReceipt("sms", i, "ok", "delivered", "") for i in some])
    await harness.maintenance().run_once()
    return Old(submitted.alert_id, data, await harness.ledger(submitted.alert_id))


@pytest.fixture
async def old(harness: DispatchHarness, alert_xml: bytes) -> Old:
    """Told, ended, and older than is kept."""
    found = await notified(harness, alert_xml)
    await years_later(harness)
    return found


async def years_later(harness: DispatchHarness) -> None:
    harness.clock.advance((DAYS + 3) * DAY_S)
    for _ in range(2):
        await harness.maintenance().run_once()


async def prune(harness: DispatchHarness, *, dry_run: bool = False) -> Pruned:
    return await Pruner(harness.db, harness.clock).run(DAYS, actor="test", dry_run=dry_run)


async def sql(harness: DispatchHarness, query: str, **values: object) -> None:
    async with harness.db.begin() as c:
        await c.execute(text(query), values)


async def rows(harness: DispatchHarness, *tables: str) -> dict[str, int]:
    async with harness.db.begin() as c:
        return {t: await c.scalar(text(f"select count(*) from {t}")) or 0 for t in tables}  # noqa: S608


async def test_prune_removes_old_alerts_with_their_rows(harness: DispatchHarness, old: Old) -> None:
    await sql(
        harness,
        """insert into digest_item (delivery_id, citizen_id, event_id, slot_at, digest_id)
           select id, citizen_id, alert_id, now(), 1 from delivery limit 1""",
    )
    before = await rows(harness, *KEPT, "audit", *LEDGER)
    assert min(before[t] for t in ("delivery", "outbox", "receipt", "digest_item")) > 0
    done = await prune(harness)
    assert (done.alerts, done.deliveries, done.in_use) == (1, old.deliveries, 0)
    assert done.receipts == before["receipt"]
    after = await rows(harness, *KEPT, "audit", *LEDGER)
    # The outbox's last number is not forgotten.
    assert {t: after[t] for t in LEDGER} == dict.fromkeys(LEDGER, 0) | {"outbox": 1}
    assert {t: after[t] for t in KEPT} == {t: before[t] for t in KEPT}
    assert after["audit"] == before["audit"] + 1
    assert (await prune(harness)).to_json() | {"alarms": 0} == Pruned(dry_run=False).to_json()


@pytest.mark.parametrize(
    "held_by",
    [
        pytest.param("update alert set state = 'delivering', finished_at = null", id="delivering"),
        pytest.param("update alert set state = 'held'", id="held"),
        pytest.param("update alert set finished_at = null, state = 'cancelled'", id="unfinished"),
        pytest.param("update alert set expires_at = now() + interval '10 years'", id="in force"),
        pytest.param("update delivery set state = 'in_doubt' where id = {last}", id="in doubt"),
        pytest.param("update delivery set state = 'planned' where id = {last}", id="planned"),
        pytest.param("update delivery set state = 'deferred' where id = {last}", id="deferred"),
        pytest.param("update outbox set state = 'ready' where id = {chunk}", id="ready"),
        pytest.param("update outbox set state = 'leased' where id = {chunk}", id="leased"),
        pytest.param("update outbox set done_at = null where id = {chunk}", id="to call back"),
        pytest.param("update outbox set check_at = now() where id = {chunk}", id="to look at"),
        pytest.param("update outbox set state = 'ready' where kind = 'plan'", id="to plan"),
        pytest.param("update receipt set applied_at = null where id = {receipt}", id="a receipt"),
        pytest.param(
            """insert into digest_item (delivery_id, citizen_id, event_id, slot_at, digest_id)
               select -1, 1, id, now(), {last} from alert""",
            id="a digest",
        ),
    ],
)
async def test_prune_keeps_what_is_in_use(harness: DispatchHarness, old: Old, held_by: str) -> None:
    async with harness.db.begin() as c:
        last = await c.scalar(text("select max(id) from delivery"))
        chunk = await c.scalar(text("select min(id) from outbox where kind = 'deliver'"))
        receipt = await c.scalar(text("select max(id) from receipt"))
        query = held_by.format(last=last, chunk=chunk, receipt=receipt)
        # An old lease, so that it is not grave work that holds the prune up.
        if "state = 'ready'" in query or "state = 'leased'" in query:
            await c.exec_driver_sql("update outbox set lane = 'routine'")
        await c.exec_driver_sql(query)
    before = await rows(harness, *LEDGER)
    for dry_run in (True, False):
        done = await prune(harness, dry_run=dry_run)
        assert (done.alerts, done.deliveries) == (0, 0)
    assert await rows(harness, *LEDGER) == before
    async with harness.db.begin() as c:
        assert (await status(c, old.id)).channels


async def test_prune_is_not_blocked_by_poisoned_chunk(harness: DispatchHarness, old: Old) -> None:
    await sql(
        harness,
        """update outbox set state = 'poisoned', check_at = now()
           where id = (select max(id) from outbox)""",
    )
    assert (await prune(harness)).deliveries == old.deliveries


async def test_prune_keeps_work_claimed_meanwhile(harness: DispatchHarness, old: Old) -> None:
    class Late(Pruner):
        async def _in_use(self, event_id: UUID) -> bool:
            assert not await super()._in_use(event_id)
            await sql(harness, "update outbox set check_at = now() where kind = 'deliver'")
            return False

    done = await Late(harness.db, harness.clock).run(DAYS, actor="test")
    assert (done.alerts, done.deliveries) == (0, 0)
    assert await harness.ledger(old.id) == old.ledger


async def test_prune_keeps_event_with_a_young_alert(
    harness: DispatchHarness, old: Old, alert_xml: bytes
) -> None:
    young = await notified(harness, alert_xml, "-b")
    await sql(harness, "update alert set submitted_at = :now where id = :id",
              now=harness.clock.now(), id=young.id)  # fmt: skip
    await sql(harness, "update alert set event_id = (select event_id from alert where id = :id)",
              id=old.id)  # fmt: skip
    assert (await prune(harness)).deliveries == 0
    await years_later(harness)
    done = await prune(harness)
    assert (done.alerts, done.deliveries) == (2, old.deliveries + young.deliveries)


async def test_prune_keeps_young_event_beside_old_one(
    harness: DispatchHarness, old: Old, alert_xml: bytes
) -> None:
    # The old one is over, so the same words tell of another event.
    young = await notified(harness, alert_xml, "-b")
    await sql(harness, "update alert set submitted_at = :now, event_id = id where id = :id",
              now=harness.clock.now(), id=young.id)  # fmt: skip
    assert (await prune(harness)).deliveries == old.deliveries
    assert await harness.ledger(young.id) == young.ledger
    assert (await rows(harness, "outbox"))["outbox"] > 1


async def test_pruned_alert_is_reported_as_pruned(harness: DispatchHarness, old: Old) -> None:
    ref = (await harness.rows(old.id))[0]["citizen"]
    await prune(harness)
    async with harness.db.begin() as c:
        with pytest.raises(Gone) as of_status:
            await status(c, old.id)
        with pytest.raises(Gone) as of_why:
            await explain(c, old.id, ref, now=harness.clock.now())
    with pytest.raises(Gone):
        await cancel(
            harness.db,
            old.id,
            principal=internal("test"),
            clock=harness.clock,
            notifier=harness.notifier,
        )
    assert str(of_status.value) == str(of_why.value)
    assert of_status.value.exit_code == 2
    detail = of_status.value.detail
    assert f"were pruned on {harness.clock.now():%Y-%m-%d}" in detail
    assert f"of its {old.deliveries:,} deliveries" in detail
    sms = old.ledger["sms", "delivered", "new"]
    assert f"sms {sms:,} delivered (new)" in detail


async def test_pruned_alert_is_recognised_when_sent_again(
    harness: DispatchHarness, old: Old
) -> None:
    await prune(harness)
    sent = len(harness.sent)
    for options in ({}, {"idempotency_key": "key"}, {"idempotency_key": "another"}):
        again = await harness.submit(old.data, now=False, **options)
        assert (again.alert_id, again.created) == (old.id, False)
    await harness.worker().sweep()
    assert len(harness.sent) == sent


async def test_update_of_pruned_alert_reaches_everybody(
    harness: DispatchHarness, old: Old, alert_xml: bytes
) -> None:
    await prune(harness)
    first = len(harness.sent)
    update = sent_now(read(alert_xml).alerts[0], harness.clock.now())
    triple = read(old.data).alerts[0].triple
    document = to_xml(update).replace(b"example-flood-0001", b"example-flood-0002")
    reference = f"<references>{triple.sender},{triple.identifier},{triple.sent.isoformat()}"
    document = document.replace(b"<msgType>Alert<", b"<msgType>Update<").replace(
        b"<info>", f"{reference}</references><info>".encode(), 1
    )
    submitted = await harness.submit(document, now=False)
    await harness.worker().sweep()
    assert len(harness.sent) - first == old.deliveries
    async with harness.db.begin() as c:
        events = await c.scalar(text("select count(distinct event_id) from alert"))
        assert events == 1
        assert (await status(c, submitted.alert_id)).channels
    # Whom it reached is known; the pruned one it replaces is beside the point.
    done = await cancel(
        harness.db,
        submitted.alert_id,
        principal=internal("test"),
        clock=harness.clock,
        notifier=harness.notifier,
    )
    assert done.ended == (submitted.alert_id,)
    assert sum(done.reached.values()) == old.deliveries


async def test_prune_goes_in_small_steps(harness: DispatchHarness, old: Old) -> None:
    steps: list[tuple[int, int]] = []
    pruner = Pruner(harness.db, harness.clock, progress=lambda n, total: steps.append((n, total)))
    await pruner.run(DAYS, actor="test")
    sizes = [n - before for (n, _), (before, _) in zip(steps, [(0, 0), *steps], strict=False)]
    assert len(sizes) > 1
    assert max(sizes) <= CHUNKS * harness.settings.chunk_size
    assert {total for _, total in steps} == {old.deliveries}
    assert steps[-1][0] == old.deliveries


async def test_prune_resumes_with_correct_sums_after_interrupt(
    harness: DispatchHarness, old: Old
) -> None:
    class PowerCut(Exception): ...

    def cut(_done: int, _total: int) -> None:
        raise PowerCut

    planned = [r["id"] for r in await harness.rows(old.id)]
    with pytest.raises(PowerCut):
        await Pruner(harness.db, harness.clock, progress=cut).run(DAYS, actor="test")
    left = [r["id"] for r in await harness.rows(old.id)]
    # The newest went first: what remains has what it rests on.
    assert left == planned[: len(left)]
    assert 0 < len(left) < len(planned)
    at = harness.clock.now()
    async with harness.db.begin() as c:
        with pytest.raises(Gone, match=f"of its {old.deliveries:,} deliveries"):
            await status(c, old.id)
    harness.clock.advance(DAY_S)
    assert (await prune(harness, dry_run=True)).deliveries == len(left)
    done = await prune(harness)
    assert (done.alerts, done.deliveries) == (0, len(left))
    assert await rows(harness, "delivery", "receipt") == {"delivery": 0, "receipt": 0}
    async with harness.db.begin() as c:
        found = await c.execute(text("select channel, state, reason, count from pruned_delivery"))
        assert {(c, s, r): n for c, s, r, n in found} == old.ledger
        assert await c.scalar(text("select pruned_at from alert")) == at


async def test_prune_run_twice_at_once_deletes_once(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    everything = 0
    for n in range(3):
        found = await notified(harness, alert_xml, f"-{n}")
        everything += found.deliveries
    await sql(harness, "update alert set event_id = id")
    await years_later(harness)
    both = await asyncio.gather(prune(harness), prune(harness))
    assert sum(done.deliveries for done in both) == everything
    assert sum(done.alerts for done in both) == 3
    async with harness.db.begin() as c:
        kept = await c.execute(
            text("select alert_id, sum(count)::int8 from pruned_delivery group by alert_id")
        )
        assert sum(n for _, n in kept) == everything
        audited = await c.scalar(text("select count(*) from audit where action = 'ledger.prune'"))
        assert audited == 3


async def test_prune_dry_run_deletes_nothing(harness: DispatchHarness, old: Old) -> None:
    everything = (*LEDGER, *KEPT, "audit", "alarm", "pruned_delivery")
    before = await rows(harness, *everything)
    would = await prune(harness, dry_run=True)
    assert (would.alerts, would.deliveries) == (1, old.deliveries)
    assert await rows(harness, *everything) == before
    async with harness.db.begin() as c:
        assert (await status(c, old.id)).channels
    done = await prune(harness)
    assert done.events == would.events
    assert done.deliveries == would.deliveries


@pytest.mark.parametrize("lane", ["extreme", "severe"])
async def test_prune_yields_to_severe_alert(harness: DispatchHarness, old: Old, lane: str) -> None:
    await sql(
        harness,
        """insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane,
             thread_id, event_id, document, source, source_hash, state, expires_at, submitted_by)
           select gen_random_uuid(), sender, 'other', sent_at, status, msg_type, scope, :lane,
             gen_random_uuid(), gen_random_uuid(), document, source, source_hash, 'delivering',
             now() + interval '9 years', 'test' from alert""",
        lane=lane,
    )
    await sql(
        harness,
        """insert into outbox (alert_id, kind, lane)
           select id, 'plan', lane from alert where identifier = 'other'""",
    )
    aside = Counter[str]()

    async def pause(_s: float) -> None:
        aside["times"] += 1
        assert (await rows(harness, "delivery"))["delivery"] == old.deliveries
        if aside["times"] == 3:
            await sql(harness, "update outbox set state = 'done' where kind = 'plan'")

    done = await Pruner(harness.db, harness.clock, pause=pause).run(DAYS, actor="test")
    assert (aside["times"], done.deliveries) == (3, old.deliveries)


async def test_prune_gentle_pauses_after_every_step(harness: DispatchHarness, old: Old) -> None:
    rests: list[float] = []

    async def pause(seconds: float) -> None:
        rests.append(seconds)

    pruner = Pruner(harness.db, harness.clock, gentle=True, pause=pause)
    assert (await pruner.run(DAYS, actor="test")).deliveries == old.deliveries
    assert len(rests) > old.deliveries / (CHUNKS * harness.settings.chunk_size)


async def test_prune_never_frees_ids_known_to_providers(
    harness: DispatchHarness, old: Old, alert_xml: bytes
) -> None:
    async with harness.db.begin() as c:
        last = await c.scalar(text("select max(id) from outbox"))
    await prune(harness)
    async with harness.db.begin() as c:
        assert await restored.known_below(c, harness.clock.now()) == last + 1
        await restored.skip_numbers(c)
    young = await notified(harness, alert_xml, "-b")
    assert min(r["id"] for r in await harness.rows(young.id)) > last * 1024
    # Now it is the newest row no longer.
    await prune(harness)
    async with harness.db.begin() as c:
        assert not await c.scalar(text("select count(*) from outbox where id = :id"), {"id": last})


async def test_prune_removes_alarms_closed_long_ago(harness: DispatchHarness) -> None:
    await sql(
        harness,
        """insert into alarm (kind, subject, sentence, opened_at, closed_at)
           values ('a', '1', '', :old, :old), ('a', '2', '', :old, null), ('a', '3', '', :old, :new)
        """,
        old=harness.clock.now() - timedelta(days=DAYS + 1),
        new=harness.clock.now() - timedelta(days=DAYS - 1),
    )
    assert (await prune(harness, dry_run=True)).alarms == 0
    assert (await prune(harness)).alarms == 1
    async with harness.db.begin() as c:
        left = (await c.execute(text("select subject from alarm order by 1"))).scalars().all()
        assert left == ["2", "3"]


async def test_late_receipt_of_pruned_delivery_is_ignored(
    harness: DispatchHarness, old: Old
) -> None:
    await prune(harness)
    async with harness.db.begin() as c:
        await receipt_intake.add(c, [NewReceipt("sms", 2048, "ok", "undelivered", "30003")])
    await harness.maintenance().run_once()
    async with harness.db.begin() as c:
        assert await c.scalar(text("select bool_and(applied_at is not null) from receipt"))
