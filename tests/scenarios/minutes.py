"""A play as it went: the acts as they would be written down, and what the carriers were handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum

from letters import Handed
from people import OWNERS
from post import Done
from scene import Idle, Work


def explain(done: Sequence[Done], book: Sequence[Handed]) -> str:
    """Line by line; to be kept as a play of its own, its acts can be copied from here."""
    lines = []
    for d in done:
        answer = "" if d.answer == "ok" else f"  # {d.answer[:110]}"
        lines.append(f"    {'#   ' * d.within}{written(d.act)},{answer}")
        if isinstance(d.act, Work | Idle):
            lines += [
                f"        # {OWNERS[m.endpoint]}, {m.channel}: {m.text[:90]!r}"
                for m in book[d.before : d.after]
            ]
    return "\n".join(lines)


def written(value: object) -> str:
    """An act as it would be written, without what is as usual."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, tuple):
        inside = ", ".join(map(written, value))
        return f"({inside}{',' * (len(value) == 1)})"
    if not hasattr(value, "__dataclass_fields__"):
        return repr(value)
    shown = [
        f"{f.name}={written(getattr(value, f.name))}"
        for f in fields(value)  # type: ignore[arg-type]
        if getattr(value, f.name) != f.default
    ]
    return f"{type(value).__name__}({', '.join(shown)})"
