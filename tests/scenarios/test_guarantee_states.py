"""No sequence of deaths, stops, lost answers, refusals, receipts, corrections and cancels loses a
message, doubles one without a flag, or moves a delivery back.

A state machine plays against a real PostgreSQL. It judges by the carriers' own log, never by the
code that sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from carrier import TAKES, Call, Carrier
from databases import emptying, with_dependents
from dispatch_harness import DispatchHarness
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from moves import MOVES, moves_made, record_moves
from sizes import size
from sqlalchemy import func, select, text, update

from alerting.audience.register import read_row
from alerting.cap import to_xml
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.intake.cancel import cancel, revoke_all
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    Polygon,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.principal import internal
from alerting.settings import Settings
from alerting.store.citizens.import_citizens import merge
from alerting.store.db import Database, raw
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import delivery, outbox

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW = 3
EMPTIED = with_dependents("citizen", "alert", "delivery", "digest_item", "receipt", "suppression")
MAX_TRIES = 5
NOT_SEEN = {"tries": 0}
FINAL = {"accepted", "delivered", "failed", "suppressed", "expired", "revoked"}
OPEN = {"planned", "deferred", "in_doubt"}
SPARED = {"identical", "covered", "text-only"}

HERE = Polygon(((50.0, 5.0), (51.0, 5.0), (51.0, 6.0), (50.0, 6.0), (50.0, 5.0)))
SCRIPT = st.lists(st.sampled_from([*TAKES, "takes", "takes"]), min_size=3, max_size=9)
#: Which of however many there are. Real tasks may end in another order in the next play, so chance
#: must not depend on what they left: Hypothesis refuses what differs between two plays.
WHICH = st.integers(0, 11)
#: The carrier's code with its word; 30003 is a phone that is switched off.
TWO_WAYS = {"c0", "c2", "c4", "c6"}
CODES = {"sent": "", "delivered": "", "undelivered": "30003"}
SEVERITIES = [Severity.SEVERE, Severity.SEVERE, Severity.MODERATE]
CHANGES = ["nothing", "words", "graver", "what to do"]


def _rows() -> list[Any]:
    """Seven here, of whom four can be reached two ways and one by mail; one far away."""
    rows = []
    for n in range(8):
        line = {"ref": f"c{n}", "language": "en", "lat": "50.5", "lon": "30.5" if n == 7 else "5.5"}
        if n != 5:
            line["sms"] = f"+44770090010{n}"
        if n in {0, 2, 4, 5, 6}:
            line["email"] = f"c{n}@example.org"
        rows.append(read_row(line))
    return rows


@dataclass
class System:
    """One harness on one event loop; every play begins with its database emptied."""

    loop: asyncio.AbstractEventLoop
    harness: DispatchHarness

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)


async def _empty(harness: DispatchHarness) -> None:
    async with harness.db.begin() as connection:
        await connection.exec_driver_sql(emptying(EMPTIED))
        await merge(await raw(connection), _rows())
    await record_moves(harness.db)


class Guarantee(RuleBasedStateMachine):
    """Whatever happens to workers and carriers, the ledger and the carriers' log agree."""

    database_url: ClassVar[str] = ""
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Call] = []
        self.carriers = {n: Carrier(n, log=self.log) for n in ("sms", "email")}
        harness = DispatchHarness(
            Database(self.database_url),
            ManualClock(START),
            WorkNotifier("redis://127.0.0.1:9/0"),
            Settings(
                chunk_size=6,
                window=WINDOW,
                sweep_s=0.001,
                retry_s=1,
                max_tries=MAX_TRIES,
            ),
            dict(self.carriers),
            [],
        )
        self.system = System(self.loop, harness)
        self.system.run(_empty(harness))
        for c in self.carriers.values():
            c.while_asleep, c.at_cancel = self._meanwhile, self._cancel_of
        self.issued: dict[UUID, Alert] = {}
        self.ended: dict[UUID, int] = {}
        self.seen: dict[int, dict[str, Any]] = {}
        self.fences: dict[int, int] = {}
        self.judged = 0
        self.doubts = 0
        self.number = 0

    # What happens

    @rule(severity=st.sampled_from(SEVERITIES), sms=SCRIPT)
    def alert(self, severity: Severity, sms: list[str]) -> None:
        self._issue(
            Alert(
                identifier=self._name(),
                sender="police@example.org",
                sent=self._now,
                status=Status.ACTUAL,
                msg_type=MsgType.ALERT,
                scope=Scope.PUBLIC,
                infos=(self._info(severity),),
            )
        )
        self.work(sms, [])

    @rule(which=WHICH, change=st.sampled_from(CHANGES), sms=SCRIPT)
    def correct(self, which: int, change: str, sms: list[str]) -> None:
        standing = self._standing
        if not standing:
            return
        old = self.issued[standing[which % len(standing)]]
        info = replace(old.infos[0], expires=self._now + timedelta(hours=2))
        match change:
            case "words":
                info = replace(info, description=f"As measured again, {self.number}.")
            case "graver":
                info = replace(info, severity=Severity.SEVERE)
            case "what to do":
                info = replace(info, response_types=(ResponseType.EVACUATE,))
        self.system.harness.clock.advance(1)
        self._issue(
            replace(
                old,
                identifier=self._name(),
                sent=self._now,
                msg_type=MsgType.UPDATE,
                references=(old.triple,),
                infos=(info,),
            )
        )
        self.work(sms, [])

    @rule(sms=SCRIPT, email=SCRIPT)
    def work(self, sms: list[str], email: list[str]) -> None:
        """A new worker takes up all there is, the carriers do as they please."""
        self.carriers["sms"].script, self.carriers["email"].script = sms, email
        self.system.run(self._work())
        for c in self.carriers.values():
            c.script.clear()

    @rule(seconds=st.sampled_from([1, 6, 130, 3600]), sms=SCRIPT)
    def later(self, seconds: int, sms: list[str]) -> None:
        self.system.harness.clock.advance(seconds)
        self.work(sms, [])

    @rule()
    def carrier_can_or_cannot_be_asked(self) -> None:
        for c in self.carriers.values():
            c.knows = not c.knows

    @rule(which=WHICH, fate=st.sampled_from(["delivered", "undelivered"]), early=st.booleans())
    def report(self, which: int, fate: str, early: bool) -> None:
        """The carrier tells what became of a message: twice, out of order, before or after."""
        taken = self._taken
        if not taken:
            return
        call = taken[which % len(taken)]
        call.fate = call.fate or fate
        words = ["sent", call.fate, call.fate] if early else [call.fate, "sent"]

        async def come() -> None:
            async with self.system.harness.db.begin() as c:
                await receipt_intake.add(
                    c,
                    [NewReceipt("sms", call.delivery_id, call.ref, w, CODES[w]) for w in words],
                )
            await self.system.harness.maintenance().run_once()

        self.system.run(come())

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        standing = self._standing
        if standing:
            self.system.run(self._cancel(standing[which % len(standing)]))

    # What must hold

    @invariant()
    def the_ledger_agrees_with_the_log(self) -> None:
        rows = self.system.run(self._rows())
        for id_, row in rows.items():
            before = self.seen.get(id_)
            if before is not None:
                assert row["tries"] >= before["tries"]
                assert row["possible_duplicate"] or not before["possible_duplicate"]
            self._judge(row, self._calls_of(id_))
            if row["state"] == "suppressed" and row["reason"] in SPARED and before is None:
                self._spared_rightly(row, rows.values())
        for call in self.log[self.judged :]:
            before = self.seen.get(call.delivery_id)
            assert before is None or before["state"] in OPEN, f"sent what was {before}"
            assert call.endpoint not in {"+447700900107"}, "somebody far away was called"
        doubts = [
            id_
            for id_, r in rows.items()
            if r["reason"] == "worker-died" and r["tries"] > self.seen.get(id_, NOT_SEEN)["tries"]
        ]
        self.doubts += len(doubts)
        assert self.doubts <= WINDOW * sum(c.deaths for c in self.carriers.values())
        self.judged = len(self.log)
        self.seen = rows

    def _judge(self, row: dict[str, Any], calls: list[Call]) -> None:
        taken = [c for c in calls if c.taken]
        flagged = row["possible_duplicate"] or row["state"] == "in_doubt"
        assert len(taken) < 2 or flagged or row["reason"] == "in-doubt", f"doubled: {row}, {calls}"
        match row["state"]:
            case "accepted" | "delivered":
                assert taken, "told of nothing the carrier has"
            case "failed" if row["reason"] == "dead-address":
                assert calls[-1].how == "knows no such address"
            case "failed" if row["reason"] == "in-doubt":
                # Its worker may have died in the window before this call.
                assert row["tries"] > 0, str(row)
            case "failed":
                assert any(c.fate == "undelivered" for c in calls), f"{row}, {calls}"
            case "suppressed" if row["reason"] == "suspended":
                assert row["endpoint"] in self._dead
            case "suppressed" | "revoked" | "deferred":
                assert not calls or all(not c.taken for c in calls), f"{row}, {calls}"
        if row["alert_id"] in self.ended:
            late = self.log[self.ended[row["alert_id"]] :]
            assert row["id"] not in {c.delivery_id for c in late}, "sent after its cancel"

    def _spared_rightly(self, row: dict[str, Any], rows: Any) -> None:
        assert any(
            other["citizen_id"] == row["citizen_id"]
            and other["event_id"] == row["event_id"]
            and other["id"] != row["id"]
            and self._calls_of(other["id"])
            for other in rows
        ), "spared a repetition of what nobody had sent"

    @invariant()
    def every_single_move_is_forward(self) -> None:
        for was, became in self.system.run(moves_made(self.system.harness.db, "delivery")):
            assert became in MOVES.get(was, set()), f"{was} became {became}"

    @invariant()
    def fences_only_rise(self) -> None:
        async def read() -> dict[int, int]:
            async with self.system.harness.db.begin() as c:
                rows = await c.exec_driver_sql("select id, fence from outbox")
                return {r.id: r.fence for r in rows}

        fences = self.system.run(read())
        assert all(fences[i] >= f for i, f in self.fences.items())
        self.fences = fences

    def teardown(self) -> None:
        """After some quiet time everybody was told, or the log says why not."""
        harness = self.system.harness
        try:
            for seconds in (6, 6, 6, 6, 130, 130, 130, 6):
                harness.clock.advance(seconds)
                self.work([], [])
                self.the_ledger_agrees_with_the_log()
            rows = self.system.run(self._rows())
            standing = set(self._standing)
            for row in rows.values():
                # By SMS a longer end is told shortly before the end that was told.
                if row["reason"] == "extended" and row["state"] == "deferred":
                    continue
                if row["alert_id"] in standing and row["lane"] == "severe":
                    assert row["state"] in FINAL, str(row)
                    self._told_or_why_not(row, rows)
            here = {f"c{n}" for n in range(7)}
            for alert_id in standing:
                planned = {r["ref"] for r in rows.values() if r["alert_id"] == alert_id}
                assert planned == here, "somebody was not thought of"
            for seconds in (24 * 3600, 130, 0):
                harness.clock.advance(seconds)
                self.work([], [])
            rows = self.system.run(self._rows())
            left = [r for r in rows.values() if r["state"] not in FINAL]
            assert not left, str(left)
        finally:
            self.system.run(harness.close())
            self.system.run(harness.db.close())

    def _told_or_why_not(self, row: dict[str, Any], rows: dict[int, dict[str, Any]]) -> None:
        notified = row["state"] in {"accepted", "delivered"}
        heard_of = any(c.fate for c in self._calls_of(row["id"]))
        if not notified and row["reason"] == "in-doubt":
            # Not sent again where the address is dead or another alert has told of this danger.
            spared = row["endpoint"] in self._dead or any(
                r["state"] in {"accepted", "delivered"} and r["id"] != row["id"]
                for r in self._all_of(row, rows)
            )
            assert row["tries"] >= MAX_TRIES or spared, f"{row}, {self._all_of(row, rows)}"
        elif not notified and row["reason"] == "superseded":
            # Waiting for another try it met a newer alert that says the same, which is judged too.
            newer = [r for r in self._all_of(row, rows) if r["id"] > row["id"]]
            assert any(r["reason"] != "superseded" for r in newer), str(row)
        elif not notified and row["reason"] not in SPARED:
            assert row["reason"] in {"dead-address", "suspended", "unreachable"}, str(row)
        unheard = row["state"] == "accepted" and not heard_of
        not_reached = unheard or (not notified and row["reason"] not in SPARED)
        other_way = row["ref"] in TWO_WAYS and f"{row['ref']}@example.org" not in self._dead
        if not_reached and row["channel"] == "sms" and other_way:
            assert any(
                r["citizen_id"] == row["citizen_id"]
                and r["alert_id"] == row["alert_id"]
                and r["channel"] == "email"
                for r in rows.values()
            ), f"the other way was not tried: {row}, {self._all_of(row, rows)}"

    @staticmethod
    def _all_of(row: dict[str, Any], rows: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
        return [r for r in rows.values() if r["ref"] == row["ref"]]

    # How it is done

    @property
    def _now(self) -> datetime:
        return self.system.harness.clock.now().replace(microsecond=0)

    @property
    def _standing(self) -> list[UUID]:
        return self.system.run(self._read_standing()) if self.issued else []

    async def _read_standing(self) -> list[UUID]:
        async with self.system.harness.db.begin() as c:
            rows = await c.execute(
                text(
                    "select id from alert where msg_type <> 'Cancel' and expires_at > :now and"
                    " state in ('accepted','delivering','completed') order by submitted_at, id"
                ),
                {"now": self.system.harness.clock.now()},
            )
            return [r.id for r in rows if r.id in self.issued]

    @property
    def _dead(self) -> set[str]:
        return {c.endpoint for c in self.log if c.how == "knows no such address"}

    @property
    def _taken(self) -> list[Call]:
        return [c for c in self.log if c.channel == "sms" and c.taken]

    def _calls_of(self, id_: int) -> list[Call]:
        return [c for c in self.log if c.delivery_id == id_]

    async def _rows(self) -> dict[int, dict[str, Any]]:
        async with self.system.harness.db.begin() as c:
            found = await c.exec_driver_sql(
                """select d.id, d.alert_id, d.citizen_id, d.channel, d.state, d.reason, d.tries,
                          d.possible_duplicate, c.ref, a.event_id, a.lane, n.endpoint
                   from delivery d join alert a on a.id = d.alert_id
                   join citizen c on c.id = d.citizen_id join address n on n.id = d.address_id"""
            )
            return {r.id: dict(r._mapping) for r in found}

    async def _work(self) -> None:
        """Leases of the dead have run out and everything that waits is due."""
        harness = self.system.harness
        await self._leases_run_out()
        await harness.due_now()
        with suppress(asyncio.CancelledError):
            await harness.worker().sweep_in_order()
        # A killed process does nothing more.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await harness.maintenance().run_once()

    async def _meanwhile(self) -> None:
        """Others find the sleeper's lease run out, and go on."""
        await self._leases_run_out()
        await self.system.harness.worker().sweep_in_order()

    async def _cancel_of(self, delivery_id: int) -> None:
        async with self.system.harness.db.begin() as c:
            query = select(delivery.c.alert_id).where(delivery.c.id == delivery_id)
            alert_id = await c.scalar(query)
        await self._cancel(alert_id)

    async def _cancel(self, alert_id: UUID) -> None:
        harness = self.system.harness
        done = await cancel(
            harness.db,
            alert_id,
            principal=internal("test"),
            clock=harness.clock,
            notifier=harness.notifier,
        )
        for ended in done.ended:
            self.ended.setdefault(ended, len(self.log))
        await revoke_all(harness.db, harness.clock, done.ended)

    async def _leases_run_out(self) -> None:
        async with self.system.harness.db.begin() as c:
            past = func.now() - text("interval '1 second'")
            await c.execute(
                update(outbox).where(outbox.c.state == "leased").values(lease_until=past)
            )

    def _issue(self, alert: Alert) -> None:
        submitted = self.system.run(self.system.harness.submit(to_xml(alert), now=False))
        self.issued[submitted.alert_id] = alert

    def _name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def _info(self, severity: Severity) -> Info:
        return Info(
            categories=(Category.GEO,),
            event="Flood",
            urgency=Urgency.IMMEDIATE,
            severity=severity,
            certainty=Certainty.OBSERVED,
            language="en",
            response_types=(ResponseType.SHELTER,),
            expires=self._now + timedelta(hours=2),
            headline="Flood at the river",
            description="As measured.",
            areas=(Area("Here", polygons=(HERE,)),),
        )


@pytest.fixture
def machine(database_url: str) -> Iterator[type[Guarantee]]:
    Guarantee.database_url = database_url
    Guarantee.loop = asyncio.new_event_loop()
    yield Guarantee
    Guarantee.loop.close()


#: What chance finds only now and then: alerts after one another, each with the carrier's script.
PLAYS = {
    "wakes after its lease": [["takes, worker sleeps"]],
    "killed with the message out": [["takes", "takes, worker dies"]],
    "killed before the call": [["takes", "worker dies"]],
    "killed again with the same": [["takes, worker dies"], ["takes, worker dies"]],
    "cancelled in the window": [["takes", "takes, alert is cancelled"]],
    "answers lost, twice": [["takes, answer lost"] * 5, ["answer lost"] * 5],
    "dead, and one who is not": [["knows no such address"], ["takes", "knows no such address"]],
    "refused and slowed": [["refuses", "slows", "refuses"], ["slows"]],
    "asleep while it is cancelled": [["takes, worker sleeps", "takes, alert is cancelled"]],
}


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
@pytest.mark.parametrize("severity", [Severity.SEVERE, Severity.MODERATE])
def test_rare_sequences_found_before(
    machine: type[Guarantee], play: list[list[str]], severity: Severity
) -> None:
    state = machine()
    try:
        for script in play:
            state.alert(severity=severity, sms=list(script))
            state.the_ledger_agrees_with_the_log()
            state.later(seconds=6, sms=list(script))
            state.the_ledger_agrees_with_the_log()
            state.fences_only_rise()
    finally:
        state.teardown()


def test_cancel_revokes_escalations_of_completed_alert(
    machine: type[Guarantee],
) -> None:
    state = machine()
    try:
        # Everything is sent, then the next channel of whom it did not reach is written.
        state.alert(severity=Severity.SEVERE, sms=["knows no such address"])
        rows = state.system.run(state._rows()).values()
        assert {r["state"] for r in rows if r["channel"] == "email" and r["tries"] == 0} == {
            "planned"
        }
        [alert_id] = state._standing
        state.system.run(state._cancel(alert_id))
        rows = state.system.run(state._rows()).values()
        assert not [r for r in rows if r["alert_id"] == alert_id and r["state"] == "planned"]
        state.the_ledger_agrees_with_the_log()
    finally:
        state.teardown()


@pytest.mark.timeout(3600)
def test_random_sequences_lose_and_duplicate_nothing(machine: type[Guarantee]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=size(6, 200),
            stateful_step_count=12,
            deadline=None,
            # Shrinking costs minutes, and twelve steps are read as they are.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
