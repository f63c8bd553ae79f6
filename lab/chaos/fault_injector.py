"""The fault injector: injects one fault and records what it hit and when."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import redis.asyncio as redis

from alerting.embedded import child
from alerting.embedded.postgres import Postgres
from alerting.embedded.redis import Redis
from alerting.errors import Unavailable
from alerting.settings import Settings
from lab.chaos import backends
from lab.chaos.plan import GROUPS, Fault, Kind
from lab.chaos.proxy import Mode
from lab.chaos.system import READY_S, System, sandbox_url, socket_of

_ENGINES = ("redis", "postgres")


@dataclass(slots=True)
class Injected:
    """A fault that was injected.

    Attributes:
        lines: Messages in the carriers' logs at that time.
        processes: The number of sending processes it ended or stopped.
        chunks: Chunks that these had leased.
        lifted_at: When the fault was lifted.
    """

    fault: Fault
    at: datetime
    lines: int
    processes: int = 0
    chunks: frozenset[int] = frozenset()
    lifted_at: datetime | None = None
    in_doubt: int = 0
    answer: dict[str, Any] = field(default_factory=dict)


class FaultInjector:
    """Injects faults into a running system.

    Args:
        lines: The number of messages so far.
        cancel: Ends it by REST.
        submit: Sends a second one by REST.
        base_faults: Faults of the carriers during the whole run.
        shifts: See `system.running`.
    """

    def __init__(
        self,
        system: System,
        *,
        lines: Callable[[], int],
        cancel: Callable[[], Any],
        submit: Callable[[], Any],
        base_faults: Mapping[str, Any],
        shifts: Path,
    ) -> None:
        self._system = system
        self._lines = lines
        self._cancel = cancel
        self._submit = submit
        self._base_faults = base_faults
        self._shifts = shifts
        self._lifting: list[asyncio.Task[None]] = []

    async def strike(self, fault: Fault) -> Injected:
        """Inject a fault; one that lasts is lifted by itself.

        Raises Unavailable when the system does not recover far enough for the fault.
        """
        system = self._system
        match fault.kind:
            case Kind.KILL if fault.target in _ENGINES:
                struck = self._begin(fault)
                engine = self._engine(fault.target)
                await asyncio.to_thread(engine.kill)
                if fault.for_s:
                    self._later(struck, lambda: asyncio.to_thread(engine.start_again))
                else:
                    await asyncio.to_thread(engine.start_again)
                    struck.lifted_at = _now()
            case Kind.KILL:
                struck = await self._signal(fault, signal.SIGKILL)
            case Kind.STOP if fault.target in _ENGINES:
                struck = self._begin(fault)
                pid = self._engine(fault.target).pid
                await asyncio.to_thread(child.stop_all, pid)
                self._later(struck, lambda: asyncio.to_thread(child.continue_all, pid))
            case Kind.STOP:
                pid = await system.pid(fault.target)
                struck = await self._signal(fault, signal.SIGSTOP)
                self._later(struck, lambda: _signalled(pid, signal.SIGCONT))
            case Kind.RESTART:
                old = await system.pid(fault.target)
                struck = self._begin(fault)
                os.kill(old, signal.SIGTERM)
                await self._back(fault.target, old)
                struck.lifted_at = _now()
            case Kind.FLUSH:
                struck = self._begin(fault)
                async with redis.Redis.from_url(system.engines.redis_url) as client:
                    await client.flushall()
            case Kind.RESET:
                struck = self._begin(fault)
                struck.answer = {"connections": system.proxies[fault.target].reset()}
            case Kind.NETWORK:
                proxy = system.proxies[fault.target]
                struck = self._begin(fault)
                await proxy.set(Mode(fault.how["mode"]))
                self._later(struck, lambda: proxy.set(Mode.PASS))
            case Kind.CARRIERS:
                struck = self._begin(fault)
                faults = {k: v for k, v in fault.how.items() if k != "name"}
                await self._carriers(_companies(system)[fault.target], faults)
                if fault.for_s:
                    self._later(struck, self.restore_carriers)
            case Kind.CLOCK:
                struck = self._begin(fault)
                self._shift(fault.target, fault.how["by_s"])
                self._later(struck, self._unshift(fault.target))
            case Kind.CANCEL:
                struck = self._begin(fault)
                struck.answer = await self._cancel()
            case Kind.SUBMIT:
                struck = self._begin(fault)
                struck.answer = await self._submit()
            case Kind.TERMINATE:
                struck = self._begin(fault)
                self._lifting.append(asyncio.create_task(self._terminate(struck)))
            case Kind.SWAP:
                struck = self._begin(fault)
                await self._swap(struck)
        return struck

    async def lifted(self) -> None:
        """Return when every fault that lasts is lifted."""
        while self._lifting:
            await self._lifting.pop()

    async def restore_carriers(self) -> None:
        """Leave the carriers with the faults of the whole run only."""
        await self._carriers(self._system.carriers, self._base_faults, anew=True)

    async def _carriers(
        self, companies: Sequence[Settings], faults: Mapping[str, Any], *, anew: bool = False
    ) -> None:
        async with aiohttp.ClientSession() as session:
            for company in companies:
                url = f"{sandbox_url(company)}/faults"
                if anew:
                    await session.delete(url)
                async with session.post(url, json=dict(faults)) as answer:
                    if answer.status != 200:
                        raise Unavailable(f"The carriers refused a fault: {await answer.text()}")

    def _begin(self, fault: Fault) -> Injected:
        return Injected(fault, _now(), self._lines())

    async def _signal(self, fault: Fault, sig: signal.Signals) -> Injected:
        """Signal a child alone, or a process with all its children, as when a machine fails."""
        pid = await self._system.pid(fault.target)
        alone = "/" in fault.target
        hit = [pid] if alone else child.children(pid) if fault.target in GROUPS else []
        struck = self._begin(fault)
        with suppress(ProcessLookupError):
            if alone:
                os.kill(pid, sig)
            else:
                os.killpg(pid, sig)
        struck.processes = len(hit)
        struck.chunks = await backends.claimed_by(self._system.database_url, hit)
        return struck

    async def _terminate(self, struck: Injected) -> None:
        fault = struck.fault
        for _ in range(max(1, round(fault.for_s / fault.how["every_s"]))):
            count = await backends.end_presence(self._system.database_url)
            struck.answer["connections"] = struck.answer.get("connections", 0) + count
            await asyncio.sleep(fault.how["every_s"])
        struck.lifted_at = _now()

    async def _swap(self, struck: Injected) -> None:
        pair = self._system.pair
        if pair is None:
            raise TypeError("PostgreSQL has no standby")
        await asyncio.to_thread(pair.swap, kill=struck.fault.how["name"] == "failover")
        self._system.proxies["database"].aim(socket_of(pair.primary.url))
        struck.lifted_at = _now()
        await asyncio.to_thread(pair.renew)

    async def _back(self, name: str, old: int) -> None:
        """Wait until a process has ended and is running again with its children."""
        try:
            async with asyncio.timeout(READY_S):
                while self._system.supervisor.pid(name) == old:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError as e:
            raise Unavailable(f"{name} did not end within {READY_S:g} s of SIGTERM.") from e
        await self._system.pid(f"{name}/0" if name in GROUPS else name)

    def _engine(self, name: str) -> Postgres | Redis:
        found = getattr(self._system.engines, name)
        if not isinstance(found, Postgres | Redis):
            raise TypeError(f"{name} is no engine of ours")
        return found

    def _shift(self, group: str, by_s: float) -> None:
        path = self._shifts / group
        new = path.with_suffix(".new")
        new.write_text(str(by_s), encoding="ascii")
        new.replace(path)

    def _unshift(self, group: str) -> Callable[[], Any]:
        async def act() -> None:
            self._shift(group, 0)

        return act

    def _later(self, struck: Injected, act: Callable[[], Any]) -> None:
        async def lift() -> None:
            await asyncio.sleep(struck.fault.for_s)
            await act()
            struck.lifted_at = _now()

        self._lifting.append(asyncio.create_task(lift()))


def _companies(system: System) -> dict[str, list[Settings]]:
    return {"all": system.carriers, "first": system.carriers[:1], "second": system.carriers[1:]}


async def _signalled(pid: int, sig: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, sig)


def _now() -> datetime:
    return datetime.now(UTC)
