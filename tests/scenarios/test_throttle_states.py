"""No sequence of alerts, updates, repeats, clock steps and Redis failures breaks an invariant.

A state machine plays against real PostgreSQL and real Redis. What it asserts it reads from the
ledger and from what the channels were given, never from the throttle's own rules.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

import pytest
from databases import emptying, with_dependents
from dispatch_harness import DispatchHarness, Recorder
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sizes import size
from sqlalchemy import select

from alerting.audience.register import read_row
from alerting.cap import from_json, to_xml
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
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
from alerting.drills import rosters
from alerting.settings import Settings
from alerting.store.citizens import directory
from alerting.store.citizens.import_citizens import merge
from alerting.store.db import Database, raw
from alerting.store.schema import address, citizen
from alerting.throttle.budget.redis_budget import RedisBudget, connect

EMPTIED = with_dependents("citizen", "alert", "delivery", "digest_item", "roster", "suppression")
START = datetime(2026, 11, 24, 19, tzinfo=UTC)
HIGH_PRIORITY = {Severity.EXTREME, Severity.SEVERE}
SPARED = {"identical", "covered", "text-only"}
FINAL = {"accepted", "delivered", "failed", "suppressed", "expired", "revoked"}

SEVERITY = st.sampled_from([*Severity, Severity.MODERATE, Severity.MODERATE])
ACTUAL_MOSTLY = st.sampled_from([Status.ACTUAL] * 5 + [Status.EXERCISE])
WHERE = st.sampled_from(["A", "B", "AB"])
MINUTES = st.sampled_from([-2, 1, 9, 45, 240, 700])
HAPPENINGS = ["alert", "alert", "update", "update", "update", "end", "clock", "clock", "again"]
ALERT = {
    "severity": SEVERITY,
    "urgency": st.sampled_from([Urgency.IMMEDIATE, Urgency.EXPECTED]),
    "areas": WHERE,
    "sender": st.sampled_from(["police", "fire"]),
    "hazard": st.sampled_from(["Flood", "Earthquake"]),
    "hours": st.sampled_from([1, 6, 30]),
    "status": ACTUAL_MOSTLY,
}
UPDATE = {
    "severity": SEVERITY,
    "areas": WHERE,
    "words": st.sampled_from(["As measured.", "As measured again."]),
    "response": st.sampled_from([ResponseType.SHELTER, ResponseType.EVACUATE]),
    "late": st.booleans(),
}
END = {"kind": st.sampled_from(["clear", "cancel"]), "areas": st.sampled_from(["A", "AB"])}


def _box(west: float) -> Polygon:
    east = west + 1.0
    return Polygon(((50.0, west), (51.0, west), (51.0, east), (50.0, east), (50.0, west)))


AREAS = {"A": _box(5.0), "B": _box(7.0)}

#: Who lives where, by name: channel, areas.
PEOPLE = {"text": ("sms", "A"), "push": ("push", "AB"), "mail": ("email", "B"), "away": ("sms", "")}
_LON = {"A": "5.5", "B": "7.5", "": "30.5"}


def _rows() -> list[Any]:
    rows = []
    for n, (name, (channel, areas)) in enumerate(PEOPLE.items()):
        line = {"ref": name, "language": "en", "lat": "50.5", "lon": _LON[areas[:1]]}
        if areas[1:]:
            line["places"] = f"work:50.5,{_LON[areas[1]]}"
        if channel == "sms":
            line["sms"] = f"+44770090010{n}"
        else:
            line["email"] = f"{name}@example.org"
        row = read_row(line)
        if channel == "push":
            (address,) = row.addresses
            row = replace(
                row,
                channels=("push",),
                addresses=(
                    replace(address, channel="push", endpoint=f"https://p.example.org/{n}"),
                ),
            )
        rows.append(row)
    return rows


@dataclass
class Issued:
    """An alert that was accepted."""

    alert: Alert
    areas: str
    hazard: str


@dataclass
class System:
    """One town over emptied engines, on an event loop of its own."""

    loop: asyncio.AbstractEventLoop
    harness: DispatchHarness
    budgets: list[Any]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)


async def _open(database_url: str, redis_url: str) -> tuple[DispatchHarness, list[Any]]:
    db = Database(database_url)
    async with db.begin() as connection:
        await connection.exec_driver_sql(emptying(EMPTIED))
        await merge(await raw(connection), _rows())
        await rosters.create(connection, "crew", by="test")
    clients = [connect(redis_url), connect("redis://127.0.0.1:9/0")]
    await clients[0].flushall()
    harness = DispatchHarness(
        db,
        ManualClock(START),
        WorkNotifier("redis://127.0.0.1:9/0"),
        Settings(chunk_size=50, window=8, sweep_s=0.001, retry_s=60),
        {n: Recorder(n, can_be_silent=n != "sms") for n in ("sms", "email", "push")},
        [],
    )
    harness.budget = RedisBudget(clients[0], now_s=lambda: harness.clock.now().timestamp())
    return harness, clients


class Days(RuleBasedStateMachine):
    """Days in the life of four citizens and two agencies."""

    engines: ClassVar[tuple[str, str]] = ("", "")

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.new_event_loop()
        harness, clients = loop.run_until_complete(_open(*self.engines))
        self.system = System(loop, harness, clients)
        self.issued: list[Issued] = []
        self.left: set[str] = set()
        self.number = 0

    @property
    def now(self) -> datetime:
        return self.system.harness.clock.now().replace(microsecond=0)

    @rule(data=st.data())
    def some_hours(self, data: st.DataObject) -> None:
        """Several things happen, mostly alerts about what is known."""
        for _ in range(data.draw(st.integers(4, 9))):
            match data.draw(st.sampled_from(HAPPENINGS)):
                case "alert":
                    self.alert(**{k: data.draw(v) for k, v in ALERT.items()})
                case "update" if self.issued:
                    self.update(data, **{k: data.draw(v) for k, v in UPDATE.items()})
                case "end" if self.issued:
                    self.end(data, **{k: data.draw(v) for k, v in END.items()})
                case "clock":
                    self.clock(data.draw(MINUTES))
                case _:
                    self.again()
            self.the_ledger_keeps_its_promises()

    @rule(**ALERT)
    def alert(
        self,
        severity: Severity,
        urgency: Urgency,
        areas: str,
        sender: str,
        hazard: str,
        hours: int,
        status: Status,
    ) -> None:
        info = self._info(severity, urgency, areas, hazard, hours, "As measured.")
        self._issue(
            Issued(
                Alert(
                    identifier=self._name(),
                    sender=f"{sender}@example.org",
                    sent=self.now,
                    status=status,
                    msg_type=MsgType.ALERT,
                    scope=Scope.PUBLIC,
                    # Nobody is on that roster.
                    addresses=() if status is Status.ACTUAL else ("crew",),
                    infos=(info,),
                ),
                areas,
                hazard,
            )
        )

    @precondition(lambda self: self.issued)
    @rule(data=st.data(), **UPDATE)
    def update(
        self,
        data: st.DataObject,
        severity: Severity,
        areas: str,
        words: str,
        response: ResponseType,
        late: bool,
    ) -> None:
        old = data.draw(st.sampled_from(self.issued))
        info = self._info(severity, Urgency.IMMEDIATE, areas, old.hazard, 6, words)
        info = replace(info, response_types=(response,))
        sent = old.alert.sent + timedelta(seconds=1) if late else self.now
        self._issue(Issued(self._refer(old, MsgType.UPDATE, sent, info), areas, old.hazard))

    @precondition(lambda self: self.issued)
    @rule(data=st.data(), **END)
    def end(self, data: st.DataObject, kind: str, areas: str) -> None:
        old = data.draw(st.sampled_from(self.issued))
        info = self._info(Severity.MINOR, Urgency.PAST, areas, old.hazard, 3, "It is over.")
        info = replace(info, response_types=(ResponseType.ALL_CLEAR,))
        kinds = {"clear": MsgType.UPDATE, "cancel": MsgType.CANCEL}
        self._issue(Issued(self._refer(old, kinds[kind], self.now, info), old.areas, old.hazard))

    @rule(minutes=MINUTES)
    def clock(self, minutes: int) -> None:
        self.system.harness.clock.advance(60 * minutes)
        self._work()

    @rule()
    def again(self) -> None:
        """Chunks are taken up once more though nothing is left to do."""
        before = len(self.system.harness.sent)

        async def reopen() -> None:
            async with self.system.harness.db.begin() as connection:
                await connection.exec_driver_sql(
                    "update outbox set state = 'ready' where kind = 'deliver'"
                )

        self.system.run(reopen())
        self._work()
        ids = [m.delivery_id for m in self.system.harness.sent[before:]]
        assert len(ids) == len(set(ids))

    @rule()
    def redis_is_emptied(self) -> None:
        self.system.run(self.system.budgets[0].flushall())

    @rule(gone=st.booleans())
    def redis_goes_or_comes(self, gone: bool) -> None:
        client = self.system.budgets[1 if gone else 0]
        harness = self.system.harness
        harness.budget = RedisBudget(client, now_s=lambda: harness.clock.now().timestamp())

    @precondition(lambda self: not self.left)
    @rule(name=st.sampled_from(sorted(PEOPLE)))
    def leave(self, name: str) -> None:
        async def withdraw() -> None:
            async with self.system.harness.db.begin() as connection:
                query = select(address.c.id).join(citizen).where(citizen.c.ref == name)
                found = await connection.scalar(query)
                await directory.leave(connection, found or 0, actor="test")

        self.system.run(withdraw())
        self.left.add(name)

    @invariant()
    def nobody_is_sent_anything_twice(self) -> None:
        counts = Counter(m.delivery_id for m in self.system.harness.sent)
        assert all(n == 1 for n in counts.values())

    @invariant()
    def the_ledger_keeps_its_promises(self) -> None:
        rows = self.system.run(self._ledger())
        for row in rows:
            if row["status"] != "Actual":
                raise AssertionError("an exercise reached somebody")
            self._judge(row, rows)

    def _judge(self, row: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        info: Info = row["info"]
        ends = row["msg_type"] == "Cancel" or info.ends_danger
        sent = row["state"] in {"accepted", "delivered"}
        at: datetime = row["at"]
        if sent and at >= row["expires_at"]:
            raise AssertionError("an expired alert was sent")
        if sent and not row["silent"] and not ends and info.severity not in HIGH_PRIORITY:
            quiet = at.time() >= time(22) or at.time() < time(7)
            slot = datetime.combine(at.date() + timedelta(at.hour >= 8), time(8), UTC)
            over = min(row["until"], row["expires_at"]) <= slot
            assert over or not quiet, "a lesser alert interrupted in quiet hours"
        if row["reason"] in SPARED:
            knew = [other for other in rows if self._knew(other, row)]
            assert knew, row["reason"]
            notified_of = 0
            for other in rows:
                same = (other["name"], other["event"]) == (row["name"], row["event"])
                if same and other["told"]:
                    notified_of |= other["places"]
            assert not row["places"] & ~notified_of, "a place of theirs was never told of"
        if info.severity in HIGH_PRIORITY and not ends and row["name"] not in self.left:
            allowed = {*SPARED, "superseded", "cancelled", "expired", "extended"}
            assert sent or row["reason"] in allowed, (row["state"], row["reason"])
            # By SMS a longer end is told shortly before the end that was told.
            waits = row["state"] == "deferred" and row["reason"] == "extended"
            assert waits or row["state"] not in {"planned", "deferred", "in_doubt"}
        if row["reason"] == "ended":
            assert any(
                o["name"] == row["name"]
                and o["event"] == row["event"]
                and o["told"]
                and o["alert"] != row["alert"]
                for o in rows
            ), "an end went to somebody who had not been told"

    @staticmethod
    def _knew(other: dict[str, Any], row: dict[str, Any]) -> bool:
        """Whoever was spared had been told of the event as gravely, and it was in force."""
        return bool(
            other["name"] == row["name"]
            and other["event"] == row["event"]
            and other["alert"] != row["alert"]
            and other["told"]
            and other["info"].severity.rank <= row["info"].severity.rank
            and other["until"] > row["at"]
            and not other["info"].ends_danger
        )

    async def _ledger(self) -> list[dict[str, Any]]:
        async with self.system.harness.db.begin() as connection:
            found = await connection.exec_driver_sql(
                """select c.ref as name, a.id as alert, a.event_id as event, a.status, a.msg_type,
                          a.document, a.expires_at, d.info_no, d.places, d.state, d.reason,
                          d.silent,
                          coalesce(d.attempted_at, d.settled_at, d.planned_at) as at,
                          d.reason = 'digested' or d.state in ('accepted','delivered') as told
                   from delivery d join alert a on a.id = d.alert_id
                   join citizen c on c.id = d.citizen_id"""
            )
            rows = [dict(r._mapping) for r in found]
        for row in rows:
            row["info"] = from_json(row["document"]).infos[row["info_no"]]
            row["until"] = row["info"].expires
        return rows

    def teardown(self) -> None:
        """Whatever happened, every delivery ends."""
        harness = self.system.harness
        try:
            for _ in range(4):
                harness.clock.advance(24 * 3600)
                self._work()
            rows = self.system.run(self._ledger())
            assert {r["state"] for r in rows} <= FINAL
        finally:
            self.system.run(self._close())
            self.system.loop.close()

    async def _close(self) -> None:
        for client in self.system.budgets:
            await client.aclose()
        await self.system.harness.close()
        await self.system.harness.db.close()

    def _name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def _info(
        self, severity: Severity, urgency: Urgency, areas: str, hazard: str, hours: int, words: str
    ) -> Info:
        return Info(
            categories=(Category.GEO,),
            event=hazard,
            urgency=urgency,
            severity=severity,
            certainty=Certainty.OBSERVED,
            language="en",
            response_types=(ResponseType.SHELTER,),
            expires=self.now + timedelta(hours=hours),
            headline=f"{hazard} at the river",
            description=words,
            areas=tuple(Area(name, polygons=(AREAS[name],)) for name in areas),
        )

    def _refer(self, old: Issued, kind: MsgType, sent: datetime, info: Info) -> Alert:
        return replace(
            old.alert,
            identifier=self._name(),
            sent=sent,
            msg_type=kind,
            references=(old.alert.triple,),
            infos=(info,),
        )

    def _issue(self, issued: Issued) -> None:
        self.system.run(self.system.harness.submit(to_xml(issued.alert), now=False))
        self.issued.append(issued)
        self._work()

    def _work(self) -> None:
        async def work() -> None:
            harness = self.system.harness
            for _ in range(2):
                await harness.due_now()
                await harness.worker().sweep_in_order()
                await harness.maintenance().run_once()

        self.system.run(work())


@pytest.mark.timeout(3600)
def test_random_sequences_break_no_invariant(database_url: str, redis_url: str) -> None:
    Days.engines = (database_url, redis_url)
    run_state_machine_as_test(
        Days,
        settings=settings(
            max_examples=size(5, 200),
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
