"""Call path: which rooms an alert passes on its way, by the calls that hand it on.

Every function of `alerting/` that is handed the alert is a step, in the order of the calls. The
alert counts in every form it takes on the way: the document, what was read of it, what is stored of
it, the work row that names it, the message made from it. What a form says of itself is no step:
its methods, and the functions of `domain`. Steps in the same room are one stay. A stay in a room
that imports the room of the stay before, directly or through others, is a climb: the alert went
down and was taken up again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import grimp

import alerting
from alerting.channels.base import Outgoing
from alerting.domain.alert import Alert
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.work.outbox import Work

_ROOT = Path(alerting.__file__).parent
_FORMS = (Alert, StoredAlert, Work, Outgoing)

#: An alert is found in what holds it so deep: a list of batches of messages.
_DEPTH = 3


#: Every process begins a path of its own: with a request, and with each row of work.
_BEGINS = frozenset({"Worker._measured", "Worker._do"})

Call = tuple[str, str]


@dataclass
class CallPath:
    """The calls that hand on one alert, as (module, function), in one list for each process."""

    document: bytes
    legs: list[list[Call]] = field(default_factory=lambda: [[]])
    ended: bool = False

    @property
    def climbs(self) -> int:
        """See the module."""
        return sum(climbs for leg in self.legs for *_, climbs in _stays(leg))

    def __str__(self) -> str:
        """One line a stay, with the calls of it; a climb is marked."""
        return "\n\n".join(
            "\n".join(
                f"{'^' if up else ' '} {room:<22}{', '.join(calls)}" for room, calls, up in stays
            )
            for stays in map(_stays, self.legs)
        )

    @contextmanager
    def followed(self, until: Callable[[str, str], bool]) -> Iterator[None]:
        """Record calls on this event loop and the threads it uses, up to the first of which
        `until` (module, function) says that it is the end."""
        loop, seen = asyncio.get_running_loop(), set[FrameType]()
        run_in_executor = loop.run_in_executor

        def hook(frame: FrameType, event: str, _: object) -> None:
            if event != "call" or self.ended or frame in seen:
                return
            file = frame.f_code.co_filename
            name = frame.f_code.co_qualname
            if not file.startswith(str(_ROOT)):
                self.ended = until("", name)
                return
            seen.add(frame)  # a coroutine that goes on calls again
            module = ".".join(("alerting", *Path(file).relative_to(_ROOT).with_suffix("").parts))
            self.ended = until(module, name)
            if name in _BEGINS:
                self.legs.append([])
            step = not module.startswith("alerting.domain") and "<" not in frame.f_code.co_name
            if step and not self.ended and self._handed(frame):
                self.legs[-1].append((module, name))

        def elsewhere(executor: Any, work: Callable[..., Any], *arguments: Any) -> Any:
            def followed() -> Any:
                sys.setprofile(hook)
                try:
                    return work(*arguments)
                finally:
                    sys.setprofile(None)

            return run_in_executor(executor, followed)

        loop.run_in_executor = elsewhere  # type: ignore[method-assign]
        sys.setprofile(hook)
        try:
            yield
        finally:
            sys.setprofile(None)
            del loop.run_in_executor  # type: ignore[attr-defined]

    def _handed(self, frame: FrameType) -> bool:
        """True where an argument holds the alert. What it says of itself is no step."""
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount
        if isinstance(frame.f_locals.get("self"), _FORMS):
            return False
        names = [n for n in code.co_varnames[:count] if n not in ("self", "cls")]
        return any(self._holds(frame.f_locals.get(n), _DEPTH) for n in names)

    def _holds(self, value: Any, depth: int) -> bool:
        if isinstance(value, _FORMS):
            return True
        if isinstance(value, bytes):
            return value == self.document
        if not depth:
            return False
        if isinstance(value, list | tuple):
            return any(self._holds(v, depth - 1) for v in value[:8])
        if is_dataclass(value) and not isinstance(value, type):
            return any(self._holds(getattr(value, f.name, None), depth - 1) for f in fields(value))
        return False


def _stays(leg: Sequence[Call]) -> Iterator[tuple[str, list[str], bool]]:
    """Each stay: its room, its functions, and whether it is a climb."""
    below, last = _below(), ""
    for room, calls in groupby(leg, key=lambda call: _room(call[0])):
        yield room, [name for _, name in calls], last in below[room] and room not in below[last]
        last = room


def _room(module: str) -> str:
    """The folder of a module; a module of the package itself, and of dispatch, is one by itself."""
    _, *parts = module.split(".")
    loose = len(parts) == 1 or (len(parts) == 2 and parts[0] == "dispatch")
    return ".".join(parts if loose else parts[:-1])


@cache
def _below() -> dict[str, Collection[str]]:
    """The rooms that each imports, directly or through others."""
    graph = grimp.build_graph("alerting")
    folders = {m for m in graph.modules if graph.find_children(m)}

    def room_of(module: str) -> str:
        return _room(f"{module}.__init__" if module in folders else module)

    direct: dict[str, set[str]] = {}
    for module in graph.modules:
        imported = {room_of(m) for m in graph.find_modules_directly_imported_by(module)}
        direct.setdefault(room_of(module), set()).update(imported)

    def reach(room: str) -> set[str]:
        found, left = set[str](), [room]
        while left:
            new = direct.get(left.pop(), set()) - found
            found |= new
            left += new
        return found - {room}

    return {room: reach(room) for room in direct}
