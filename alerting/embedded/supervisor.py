"""One process that starts the others, restarts what dies and ends them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from alerting.embedded.child import ending_with_parent
from alerting.observe.logs import logger

log = logger(__name__)

#: A child that ran this long is healthy: the next restart is quick again.
_WELL_S = 10.0
_BACKOFF_MAX_S = 30.0
_BACKOFF_S = 0.5


@dataclass(frozen=True, slots=True)
class Spec:
    """A process to keep running. `stop_s`: how long it may take to end before it is killed."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_s: float = 25.0


class Supervisor:
    """Keeps processes running while the block lasts.

    Each child has its own process group, ends when this process does, and has its lines printed on
    standard error behind its name. A child that dies is restarted, sooner the longer it had run.
    Leaving the block ends them by SIGTERM in reverse order, by SIGKILL past their time.

    Args:
        quiet: Print nothing.
        on_line: Called with a child's name and each line it printed, printed here or not.
        backoff_max_s: No restart is put off longer.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        quiet: bool = False,
        on_line: Callable[[str, str], None] = lambda _name, _line: None,
        backoff_max_s: float = _BACKOFF_MAX_S,
    ) -> None:
        self._specs = list(specs)
        self._quiet = quiet
        self._on_line = on_line
        self._backoff_max_s = backoff_max_s
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Supervisor:
        for spec in self._specs:
            self._tasks[spec.name] = asyncio.create_task(self._keep(spec), name=spec.name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for spec in reversed(self._specs):
            self._tasks[spec.name].cancel()
            with suppress(asyncio.CancelledError):
                await self._tasks[spec.name]

    def pid(self, name: str) -> int | None:
        """The process id of a running child; None while it is down."""
        child = self._children.get(name)
        return None if child is None or child.returncode is not None else child.pid

    async def _keep(self, spec: Spec) -> None:
        pause_s = _BACKOFF_S
        while True:
            started = time.monotonic()
            child = await self._start(spec)
            self._children[spec.name] = child
            lines = asyncio.create_task(self._print(spec, child))
            try:
                code = await child.wait()
            except asyncio.CancelledError:
                await _end(child, spec.stop_s)
                raise
            finally:
                await lines
            ran_s = time.monotonic() - started
            pause_s = _BACKOFF_S if ran_s > _WELL_S else min(self._backoff_max_s, pause_s * 2)
            log.warning("child.died", child=spec.name, code=code, restart_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _start(self, spec: Spec) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *ending_with_parent(spec.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **spec.env},
            start_new_session=True,
            limit=1 << 20,
        )

    async def _print(self, spec: Spec, child: asyncio.subprocess.Process) -> None:
        if child.stdout is None:
            return
        async for line in child.stdout:
            text = line.decode("utf-8", errors="replace").rstrip()
            self._on_line(spec.name, text)
            if not self._quiet:
                sys.stderr.write(f"{spec.name:9} | {text}\n")


async def _end(child: asyncio.subprocess.Process, stop_s: float) -> None:
    """End a child and, past its time, its whole process group."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), stop_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
