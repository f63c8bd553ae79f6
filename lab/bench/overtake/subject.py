"""Ours, for the bench of overtaking: one alert to very many in flight, graver ones on top of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from alerting.bootstrap import Runtime
from alerting.dispatch.evaluation import policies
from alerting.dispatch.intake.cancel import cancel, revoke_all
from alerting.dispatch.intake.submit import submit
from alerting.domain.alert import Severity
from alerting.domain.principal import internal
from alerting.embedded import engines
from alerting.embedded.processes import processes
from alerting.embedded.supervisor import Supervisor
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.migrate import migrate
from lab.bench.population import District, districts, settle_down
from lab.bench.stubs.clocked import Clocked, Taken, clocked
from lab.bench.stubs.twilio import settings_for

#: So many people wait for a second one's word by default, and at night they are left to sleep.
_POLICY = """
[quiet]
from = "00:00"
to = "00:00"
[storm]
audience_max = 100000000
"""

_MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class Flight:
    """What is flown.

    light: citizens of the alert that is overtaken. grave: citizens of each Extreme. before, after:
    so many Extremes while nothing else is to be done. background_task: when so many messages of the
    light alert were taken, the next Extreme is submitted. severity: of the light alert, which may
    be as grave as those that overtake it.
    """

    light: int
    grave: int
    before: int
    background_task: tuple[int, ...]
    after: int
    severity: Severity = Severity.MODERATE


@dataclass(frozen=True, slots=True)
class Passage:
    """One Extreme: when each of its messages was taken, in seconds from its submission.

    beside: messages a second of the light alert that were taken while this one's were. cancel_s:
    of one that was cancelled, seconds from there until each of those it had reached was told so.
    """

    loaded: bool
    taken_s: tuple[float, ...]
    beside: float = 0.0
    cancel_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Flown:
    """light: messages of the light alert that were taken before it was cancelled. notices: how
    many were then told that it is cancelled."""

    passages: list[Passage]
    light: int
    notices: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An Extreme that was submitted, and when it was cancelled."""

    alert_id: UUID
    district: District
    at_s: float
    loaded: bool
    cancelled_at_s: float | None = None


async def fly(flight: Flight, groups: Mapping[str, str], say: Callable[[str], None]) -> Flown:
    """Fly it on a machine of its own with these worker groups.

    Raises WorkFailed where a message is missing, doubled or unknown to the ledger, or where the
    light alert was over before the last Extreme had been sent.
    """
    count = flight.before + len(flight.background_task) + flight.after
    places = districts([*[flight.grave] * count, flight.light])
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with clocked(folder / "nginx") as stub:
            settings = settings_for(
                stub.url, var=folder / "var", log_level="WARNING", receipt_extreme_s=0
            )
            async with machine(settings, groups) as runtime:
                async with runtime.db.begin(patient=True) as connection:
                    await policies.set_live(connection, _POLICY, by=internal("bench-setup"))
                    await settle_down(connection, places)
                pilot = _Pilot(runtime, stub, flight, places, say)
                await pilot.ready(len(groups) * settings.workers)
                sent = await pilot.fly()
                ledger = await read_ledger(runtime)
        return judge(sent, places[-1], stub.taken(), ledger)


@asynccontextmanager
async def machine(settings: Settings, groups: Mapping[str, str]) -> AsyncIterator[Runtime]:
    """Engines of their own and these worker groups, as `alerting up` starts them."""
    with engines.start(settings.var) as running:
        await asyncio.to_thread(migrate, running.database_url)
        urls = {"database_url": running.database_url, "redis_url": running.redis_url}
        config = settings.model_copy(update=urls)
        specs = processes(config, running.database_url, running.redis_url, groups=groups)
        workers = Supervisor([s for s in specs if s.name in groups], quiet=True)
        async with workers, Runtime.open(config) as runtime:
            yield runtime


class _Pilot:
    def __init__(
        self,
        runtime: Runtime,
        stub: Clocked,
        flight: Flight,
        places: list[District],
        say: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._standin = stub
        self._flight = flight
        self._places = places
        self._say = say
        self._sent: list[Sent] = []

    async def ready(self, workers: int) -> None:
        """Return when so many worker processes show that they are there."""
        await self._until(
            "select count(*) >= :n from pg_locks where locktype = 'advisory' and objsubid = 2",
            {"n": workers},
        )

    async def fly(self) -> list[Sent]:
        flight = self._flight
        for n in range(flight.before):
            self._say(f"  an Extreme to {flight.grave:,} on idle workers ({n + 1}) …")
            await self._grave(loaded=False)
        before = self._standin.count()
        light = await self._submit(self._places[-1], flight.severity)
        for n in flight.background_task:
            # Another process's log raises no event here: it has to be asked.
            while self._standin.count() - before < n:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            self._say(f"  one while {flight.light:,} others are in flight, {n:,} of them told …")
            await self._grave(loaded=True)
            before += flight.grave
        self._say("  the last of them is cancelled …")
        cancelled_at_s = time.time()
        await self._completed(await self._cancel(self._sent[-1].alert_id))
        self._sent[-1] = replace(self._sent[-1], cancelled_at_s=cancelled_at_s)
        await self._end(light)
        for n in range(flight.after):
            self._say(f"  one on idle workers again ({n + 1}) …")
            await self._grave(loaded=False)
        return self._sent

    async def _grave(self, *, loaded: bool) -> None:
        district = self._places[len(self._sent)]
        at_s = time.time()
        alert_id = await self._submit(district, Severity.EXTREME)
        self._sent.append(Sent(alert_id, district, at_s, loaded))
        await self._completed(alert_id)

    async def _submit(self, district: District, severity: Severity) -> UUID:
        runtime = self._runtime
        submitted = await submit(
            runtime.db,
            district.alert(severity, f"{severity}-{district.no}"),
            principal=internal("bench"),
            now=True,
            clock=runtime.clock,
            notifier=runtime.notifier,
        )
        return submitted.alert_id

    async def _end(self, light: UUID) -> None:
        """Cancel the light alert where it still flies, and see everything come to rest."""
        runtime = self._runtime
        self._say("  the light one is cancelled, and whom it reached is told …")
        async with runtime.db.begin() as connection:
            flying = await connection.scalar(
                text("select state = 'delivering' from alert where id = :id"), {"id": light}
            )
        if not flying:
            raise WorkFailed("The light alert was over before the last Extreme had been sent.")
        await self._completed(await self._cancel(light))
        # Whom its last windows reached is told by the sweeper, when it has looked once more.
        await self._until(
            "select not exists (select from outbox where state in ('ready','leased'))"
        )

    async def _cancel(self, alert_id: UUID) -> UUID:
        """Cancel it; returns the notice that says so."""
        runtime = self._runtime
        cancelled = await cancel(
            runtime.db,
            alert_id,
            principal=internal("bench"),
            clock=runtime.clock,
            notifier=runtime.notifier,
        )
        await revoke_all(runtime.db, runtime.clock, cancelled.ended)
        if cancelled.notice is None:
            raise WorkFailed("An alert was not cancelled.")
        return cancelled.notice.alert_id

    async def _completed(self, alert_id: UUID) -> None:
        await self._until("select state = 'completed' from alert where id = :id", {"id": alert_id})

    async def _until(self, question: str, values: Mapping[str, object] | None = None) -> None:
        end = time.monotonic() + _MOST_S
        while True:
            async with self._runtime.db.begin() as connection:
                if await connection.scalar(text(question), dict(values or {})):
                    return
            if time.monotonic() > end:
                raise WorkFailed(f"Waited {_MOST_S:g} s in vain: {question}")
            await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger says was taken: by citizen, and how many may have come twice."""

    accepted: Counter[int]
    doubtful: int
    by_alert: dict[str, int]


async def read_ledger(runtime: Runtime) -> Ledger:
    async with runtime.db.begin(patient=True) as connection:
        rows = await connection.execute(
            text(
                """select citizen_id, count(*) from delivery
                   where state in ('accepted','delivered') group by citizen_id"""
            )
        )
        accepted = Counter({int(citizen): int(n) for citizen, n in rows})
        doubtful = await connection.scalar(
            text("select count(*) from delivery where possible_duplicate or state = 'in_doubt'")
        )
        rows = await connection.execute(
            text(
                """select a.msg_type || ' ' || a.lane, count(*) from delivery d
                   join alert a on a.id = d.alert_id
                   where d.state in ('accepted','delivered') group by 1"""
            )
        )
        return Ledger(accepted, int(doubtful or 0), {str(kind): int(n) for kind, n in rows})


def judge(sent: Sequence[Sent], light: District, taken: Sequence[Taken], ledger: Ledger) -> Flown:
    """What was flown, by the provider's log. Raises WorkFailed where it and the ledger differ, or
    where anybody was not told exactly once of each alert that reached them."""
    log = Counter(t.number for t in taken)
    if log != ledger.accepted:
        wrong = sum((log - ledger.accepted).values()), sum((ledger.accepted - log).values())
        raise WorkFailed(
            f"The provider's log has {wrong[0]:,} messages the ledger has not, and the ledger "
            f"{wrong[1]:,} the log has not."
        )
    if ledger.doubtful:
        raise WorkFailed(f"{ledger.doubtful:,} deliveries may have come twice.")
    passages = [_passage(one, taken, light, log) for one in sent]
    notices = sum(n for kind, n in ledger.by_alert.items() if kind.startswith("Cancel "))
    notices -= sum(len(p.cancel_s) for p in passages)
    told = sum(log[n] > 0 for n in light.numbers)
    if told != notices or {log[n] for n in light.numbers} - {0, 2}:
        raise WorkFailed(f"{told:,} were told and {notices:,} of the cancel.")
    return Flown(passages, told, notices)


def _passage(one: Sent, taken: Sequence[Taken], light: District, log: Counter[int]) -> Passage:
    count = 1 if one.cancelled_at_s is None else 2
    if any(log[n] != count for n in one.district.numbers):
        wrong = sum(log[n] != count for n in one.district.numbers)
        raise WorkFailed(f"{wrong:,} of an Extreme's messages were taken never or too often.")
    own = [t.at_s for t in taken if t.number in one.district.numbers]
    ends_s = own[len(one.district.numbers) :]
    times = tuple(at_s - one.at_s for at_s in own[: len(one.district.numbers)])
    last_s = one.at_s + times[-1]
    beside = sum(one.at_s <= t.at_s <= last_s and t.number in light.numbers for t in taken)
    cancel_s = tuple(at_s - (one.cancelled_at_s or 0) for at_s in ends_s)
    return Passage(one.loaded, times, beside / times[-1], cancel_s)
