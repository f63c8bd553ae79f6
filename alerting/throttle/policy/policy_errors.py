"""Errors in a policy file, so that its author can correct them: where, what, how."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from alerting.domain.nearest import nearest
from alerting.errors import BadInput
from alerting.throttle.policy.model import Path, bounds, field_at, keys_of, section_at


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `line` counts from one; None where the fault is at no line of the file."""

    line: int | None
    key: str
    what: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        return {"line": self.line, "key": self.key, "what": self.what, "remedy": self.remedy}

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return " ".join(p for p in (f"{where}{self.what}", self.remedy) if p)


class PolicyRefused(BadInput):
    """All errors of one file; nothing of it was used."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line or 0, p.key)))
        count = "1 fault" if len(problems) == 1 else f"{len(problems)} faults"
        lines = "".join(f"\n  {name}, {problem}" for problem in self.problems)
        super().__init__(f"The policy {name} has {count}:{lines}")


def read_toml(text: str) -> dict[str, Any] | Problem:
    """The file's values, or the first place where it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        what, _, place = str(e).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        number = int(line[1]) if line else text.rstrip().count("\n") + 1
        return Problem(
            number,
            "",
            f"this is not TOML: {what[:1].lower()}{what[1:]}.",
            'A key looks like spacing_s = 600 or from = "22:00", a section like [quiet].',
        )
    except RecursionError:
        return Problem(None, "", "this is nested too deeply.", "A policy has no deep nesting.")


# What may hide the end of a line or a bracket: texts, comments, arrays over several lines.
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]\n]',
    re.DOTALL,
)


def key_lines(text: str) -> dict[Path, int]:
    """The line on which each key and section of a readable TOML file begins.

    When a section occurs several times, the second and later ones have their number, from 1, at the
    end of their path.
    """
    lines: dict[Path, int] = {}
    section: Path = ()
    seen: Counter[Path] = Counter()
    for number, statement in _statements(text):
        try:
            paths = list(_paths(tomllib.loads(statement)))
        except tomllib.TOMLDecodeError:
            continue
        if statement.startswith("["):
            section = max(paths, key=len)
            if statement.startswith("[["):
                seen[section] += 1
                if seen[section] > 1:
                    section = _nth(section, seen[section] - 1)
                    paths = [section]
        else:
            paths = [section + path for path in paths]
        for path in paths:
            lines.setdefault(path, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with the number of its first line."""
    start, depth = 0, 0
    for token in _TOKEN.finditer(f"{text}\n"):
        match token[0]:
            case "[":
                depth += 1
            case "]":
                depth -= 1
            case "\n" if depth == 0:
                if statement := text[start : token.start()].strip():
                    yield text.count("\n", 0, start) + 1, statement
                start = token.end()


def _paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """All key paths of a parsed statement, inline tables included."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield (*above, key)
            yield from _paths(below, (*above, key))


def problems_of(
    error: ValidationError, model: type[BaseModel], lines: dict[Path, int]
) -> list[tuple[Path, Problem]]:
    """Each fault pydantic found, in words, with the path of its key."""
    found: dict[Path, Problem] = {}
    for fault in error.errors(include_url=False):
        # A fault inside a list is reported at its key.
        path = tuple(str(step) for step in fault["loc"] if isinstance(step, str))
        place = _place(fault["loc"])
        what, remedy = _explained(fault, path, model)
        found.setdefault(place, Problem(line_of(place, lines), ".".join(path), what, remedy))
    return list(found.items())


def _place(loc: Sequence[int | str]) -> Path:
    """A key's path, with the number of its section when that is not the first of its name."""
    place: Path = ()
    for step, after in zip(loc, (*loc[1:], 0), strict=True):
        if isinstance(step, str):
            place = (*place, step)
        elif step and isinstance(after, str):
            place = _nth(place, step)
    return place


def _nth(section: Path, number: int) -> Path:
    return (*section, str(number))


def line_of(path: Path, lines: dict[Path, int]) -> int | None:
    """The line of a key, else that of its section."""
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)


def _explained(fault: Any, path: Path, model: type[BaseModel]) -> tuple[str, str]:
    key, got, context = ".".join(path), _shown(fault["input"]), fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return f"there is no {_noun(fault['input'])} {key}.", _nearest(path, model)
        case "greater_than_equal" | "less_than_equal":
            field = field_at(model, path)
            low, high, why = bounds(field)
            side = "less" if fault["type"] == "greater_than_equal" else "more"
            limit = context.get("ge", context.get("le"))
            return (
                f"{key} is {got}, {side} than {_plain(limit)}: {why}.",
                f"Write a number from {_plain(low)} to {_plain(high)}.",
            )
        case "value_error":
            return f"{key} {context['error']}.", ""
        case "model_type" | "dict_type":
            return f"{key} is {got}, but it is a section.", f"Write [{key}] and its keys below."
        case "too_short" | "too_long":
            field = field_at(model, path)
            return f"{key} has {context['actual_length']} entries.", f"It takes {takes(field)}."
        case _:
            return f"{key} is {got}.", f"It takes {takes(field_at(model, path))}."


def takes(field: FieldInfo) -> str:
    """What a key takes, in words."""
    if any(hasattr(m, "ge") for m in field.metadata):
        low, high, _ = bounds(field)
        kind = "a whole number" if field.annotation is int else "a number"
        return f"{kind} from {_plain(low)} to {_plain(high)}"
    extra = field.json_schema_extra
    return str(extra["takes"]) if isinstance(extra, dict) and "takes" in extra else "a section"


def _nearest(path: Path, model: type[BaseModel]) -> str:
    """The key that was probably meant: a similar one beside it, or the same in another section."""
    section = section_at(model, path[:-1])
    names = [f.alias or name for name, f in section.model_fields.items()]
    if close := nearest(path[-1], names):
        return f"Did you mean {'.'.join((*path[:-1], close))}?"
    elsewhere = [".".join(p) for p in keys_of(model) if p[-1] == path[-1]]
    if elsewhere:
        return f"It belongs in {' or '.join(elsewhere)}."
    where = f"[{'.'.join(path[:-1])}]" if path[:-1] else "A policy"
    return f"{where} has {', '.join(names)}."


def _noun(value: Any) -> str:
    return "section" if isinstance(value, dict) else "key"


def _shown(value: Any) -> str:
    """A value as written in the file, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a section"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _plain(number: float | None) -> str:
    return f"{number:g}" if number is None or number % 1 else f"{number:.0f}"
