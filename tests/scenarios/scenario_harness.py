"""The harness of the plays: carries out acts on the real system and keeps what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import timeshift
from dispatch_harness import DispatchHarness
from labour import idle, work
from letters import Handed, write
from naming import call_off
from people import move_in, register
from post import START, Done, Post
from scene import (
    PRINCIPALS,
    Act,
    Approve,
    CallOff,
    Idle,
    Join,
    Keep,
    Move,
    Part,
    Rules,
    Say,
    Step,
    Unsaid,
    Work,
)
from sqlalchemy import text

from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.intake.approve import approve
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.domain.alert import Reference
from alerting.errors import BadInput
from alerting.settings import Settings
from alerting.store.admin import policy_versions
from alerting.store.alerts import stored_events
from alerting.store.db import Database

_SETTINGS = Settings(
    chunk_size=50,
    window=8,
    sweep_s=0.001,
    retry_s=1,
    lease_s=6,
    in_doubt_wait_s=0,
)


class ScenarioHarness:
    """One play on one database, which is emptied first."""

    def __init__(self, database_url: str) -> None:
        self.book: list[Handed] = []
        self.done: list[Done] = []
        self.ids: dict[int, UUID] = {}
        self.named: dict[int, Reference] = {}
        #: Where among the acts an alert came from, by its id.
        self.origin: dict[str, int] = {}
        self._asleep = 0
        self._meanwhile: Sequence[Act] = ()
        self.clock = ManualClock(START)
        self.posts = {
            n: Post(n, can_be_silent=n != "sms", book=self.book, now=self.clock.now)
            for n in ("sms", "email", "push")
        }
        for post in self.posts.values():
            post.while_asleep = self._while_asleep
        self.harness = DispatchHarness(
            Database(database_url),
            self.clock,
            WorkNotifier("redis://127.0.0.1:9/0"),
            _SETTINGS,
            dict(self.posts),
            [],
        )

    async def open(self, tables: Sequence[str]) -> None:
        async with self.harness.db.begin() as connection:
            await timeshift.empty(connection, tables)
            await timeshift.begin(connection, START)
            self.harness.drill_key = await register(connection)

    async def close(self) -> None:
        await self.harness.close()
        await self.harness.db.close()

    # What is done

    async def play(self, acts: Sequence[Act]) -> None:
        for act in acts:
            await self.do(act)

    async def do(self, act: Act) -> None:
        """Carry out an act; a refusal is written down as its answer."""
        before, at = len(self.book), self.clock.now()
        try:
            answer = await self._do(act)
        except BadInput as e:
            answer = f"refused: {type(e).__name__}: {e}"
        waiting = await self.waiting() if isinstance(act, Idle | Say) else frozenset()
        # What happens while a worker sleeps stands before that worker's work.
        self.done.append(Done(act, at, answer, before, len(self.book), waiting, self._asleep > 0))

    async def _do(self, act: Act) -> str:
        match act:
            case Say():
                return await self._say(act)
            case Unsaid():
                self.document(act.say)
            case CallOff():
                await self._call_off(act)
            case Approve():
                await approve(
                    self.harness.db,
                    self.harness.notifier,
                    self._id(act.no),
                    principal=PRINCIPALS[act.by],
                    clock=self.clock,
                )
            case Join():
                async with self.harness.db.begin() as c:
                    await stored_events.join(
                        c, self._id(act.no), self._id(act.other), by="key:chief"
                    )
            case Part():
                async with self.harness.db.begin() as c:
                    await stored_events.part(c, self._id(act.no), by="key:chief")
            case Step():
                self.clock.advance(act.seconds)
                async with self.harness.db.begin() as c:
                    await timeshift.step(c, act.seconds, leases=self._asleep > 0)
            case Work():
                self._meanwhile = act.meanwhile
                for name, script in act.script:
                    self.posts[name].script = list(script)
                await work(self.harness, alone=not self._asleep)
                for post in self.posts.values():
                    post.script = []
            case Idle():
                await idle(self.harness, alone=not self._asleep)
            case Move():
                async with self.harness.db.begin() as c:
                    await move_in(c, act.name, act.homes)
            case Keep():
                ahead = ManualClock(self.clock.now() + timedelta(seconds=act.ahead_s))
                harness = self.harness
                await Maintenance(
                    harness.db, self.clock, harness.notifier, harness.settings, machine_clock=ahead
                ).run_once()
            case Rules():
                toml = f"[storm]\naudience_max = {act.audience_max}\npreauthorised = []\n"
                async with self.harness.db.begin() as c:
                    await policy_versions.put(
                        c, toml, role="live", name="play", by=PRINCIPALS["chief"]
                    )
        return "ok"

    async def _say(self, say: Say) -> str:
        data = self.document(say)
        submitted = await self.harness.submit(data, principal=say.principal, now=False)
        self.ids[say.no] = submitted.alert_id
        self.origin[await self.harness.code(submitted.alert_id)] = len(self.done)
        return "held" if submitted.state == "held" else "ok"

    def document(self, say: Say) -> bytes:
        """What is submitted; the saying has its name from now on, accepted or not."""
        sent = self.clock.now() + timedelta(seconds=say.ahead_s)
        own = f"{say.hazard.lower().replace(' ', '-')}-{say.no}"
        identifier = own if say.name_of is None else self.named[say.name_of].identifier
        self.named[say.no] = Reference(f"{say.sender}@example.org", identifier, sent)
        return write(say, sent, self.named)

    async def _call_off(self, act: CallOff) -> None:
        by = PRINCIPALS[act.by or self.named[act.no].sender.partition("@")[0]]
        name = self.named[act.no].identifier if act.by_name else self._id(act.no)
        for notice in await call_off(self.harness, name, by=by, false_alarm=act.false_alarm):
            self.origin[await self.harness.code(notice)] = len(self.done)

    def _id(self, no: int) -> UUID:
        found = self.ids.get(no)
        if found is None:
            raise BadInput("it was never accepted")
        return found

    async def _while_asleep(self) -> None:
        acts, self._meanwhile = self._meanwhile, ()
        self._asleep += 1
        try:
            await self.play(acts)
        finally:
            self._asleep -= 1

    # What the harness asks, never the judge

    async def waiting(self) -> frozenset[int]:
        """The sayings that are held now."""
        async with self.harness.db.begin() as c:
            found = {r[0] for r in await c.execute(text("select id from alert where state='held'"))}
        return frozenset(no for no, id_ in self.ids.items() if id_ in found)
