"""The policy: every parameter of the throttle, read from one TOML file and validated as a whole."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from alerting.throttle.policy.model import (
    DAY_S,
    Allowance,
    Pace,
    Path,
    Policy,
    Rates,
    policy_type,
    within,
)
from alerting.throttle.policy.policy_errors import (
    PolicyRefused,
    Problem,
    key_lines,
    line_of,
    problems_of,
    read_toml,
)

__all__ = [
    "Allowance",
    "Pace",
    "Policy",
    "PolicyRefused",
    "default_policy",
    "default_toml",
    "parse_policy",
]

#: Enough for every key with a paragraph of comment each.
MAX_CHARACTERS = 65_536

_MAX_QUIET_S = 16 * 3600


def parse_policy(text: str, *, name: str = "policy", rates: Rates | None = None) -> Policy:
    """Read a policy; keys that are left out have their defaults.

    Raises PolicyRefused (a BadInput) with all faults at once, each with its line, its key and what
    to write instead.

    Args:
        name: What the file is called in errors.
        rates: The channels there are, each with its rate where the policy names none; None for
            those of the default policy's own file.
    """
    if len(text) > MAX_CHARACTERS:
        what = f"this has {len(text):,} characters, more than {MAX_CHARACTERS:,}."
        raise PolicyRefused(name, [Problem(None, "", what, "Is it the right file?")])
    raw = read_toml(text)
    if isinstance(raw, Problem):
        raise PolicyRefused(name, [raw])
    lines = key_lines(text)
    found: dict[Path, Problem] = {}
    model = policy_type(tuple(sorted(_default_rates() if rates is None else rates)))
    try:
        policy = model.model_validate(raw)
    except ValidationError as e:
        found = dict(problems_of(e, model, lines))
        for path in found:
            _remove(raw, path)
        # What is left still has to agree with itself; a fault reported once is not reported twice.
        policy = model.model_validate(raw)
    problems = list(found.values())
    for keys, what, remedy in _contradictions(policy):
        paths = [tuple(key.split(".")) for key in keys]
        if not any(path[:n] in found for path in paths for n in range(1, len(path) + 1)):
            line = line_of(paths[0], lines) or line_of(paths[-1], lines)
            problems.append(Problem(line, keys[0], f"{keys[0]} {what}.", remedy))
    if problems:
        raise PolicyRefused(name, problems)
    return policy


@cache
def default_policy() -> Policy:
    """The default policy."""
    return parse_policy(default_toml(), name="policy.toml")


@cache
def _default_rates() -> Rates:
    paces = tomllib.loads(default_toml())["pace"]
    return tuple((channel, pace["per_second"]) for channel, pace in paces.items())


def default_toml() -> str:
    """The default policy's own file, with its comments."""
    return files("alerting.throttle.policy").joinpath("policy.toml").read_text(encoding="utf-8")


def old_words(text: str) -> list[str]:
    """Remarks on a valid policy whose words mean something else than when it was written."""
    storm = tomllib.loads(text).get("storm", {})
    found = [p for p in storm.get("preauthorised", ()) if isinstance(p, str) and p != "*"]
    line = line_of(("storm", "preauthorised"), key_lines(text))
    return [
        f'line {line}: storm.preauthorised names "{name}", which is compared with the names of '
        "keys, no longer with senders. Write [[storm.preauthorised]] with keys, hazards and area."
        for name in found
    ]


def _remove(raw: Any, path: Path) -> None:
    for step in path[:-1]:
        if isinstance(raw, list):
            raw = raw[int(step)] if step.isdecimal() else raw[0][step]
        else:
            raw = raw[step]
    # A section that may occur several times and has no number is the first.
    where = raw[0] if isinstance(raw, list) else raw
    where.pop(path[-1], None)


def _contradictions(policy: Policy) -> list[tuple[tuple[str, ...], str, str]]:
    """Valid values that do not fit together: the keys, what is wrong, what to do."""
    found: list[tuple[tuple[str, ...], str, str]] = []
    quiet = policy.quiet
    hours = f"{quiet.start:%H:%M} to {quiet.end:%H:%M}"
    for slot in quiet.slots:
        if within(slot, quiet.start, quiet.end):
            what = f"names {slot:%H:%M}, which lies in the quiet hours from {hours}"
            remedy = "Choose a time outside them: a digest may not wake anybody."
            found.append((("quiet.slots", "quiet.from", "quiet.to"), what, remedy))
    if len(set(quiet.slots)) < len(quiet.slots):
        found.append((("quiet.slots",), "names a time twice", "Name each once."))
    day = date(2000, 1, 1)
    span = datetime.combine(day, quiet.end) - datetime.combine(day, quiet.start)
    if span.total_seconds() % DAY_S > _MAX_QUIET_S:
        what = f"makes the quiet hours, {hours}, longer than 16 hours"
        found.append((("quiet.to", "quiet.from"), what, "A warning must come within the day."))
    if policy.same_event.unsure > policy.same_event.sure:
        what = f"is more than same_event.sure, {policy.same_event.sure:g}"
        remedy = "Alerts that a coordinator is asked about are less alike than sure ones."
        found.append((("same_event.unsure", "same_event.sure"), what, remedy))
    if policy.thread.repeat_extreme_s > policy.thread.repeat_severe_s:
        what = f"is more than thread.repeat_severe_s, {policy.thread.repeat_severe_s}"
        remedy = "What is Extreme interrupts again at least as soon as what is Severe."
        found.append((("thread.repeat_extreme_s", "thread.repeat_severe_s"), what, remedy))
    if policy.storm.history_s < policy.storm.window_s:
        what = f"is less than storm.window_s, {policy.storm.window_s}"
        remedy = "What is usual is learnt over several windows."
        found.append((("storm.history_s", "storm.window_s"), what, remedy))
    for kind in ("moderate", "minor", "routine"):
        allowance: Allowance = getattr(policy.budget, kind)
        if allowance.at_once > allowance.per_day:
            keys = (f"budget.{kind}.at_once", f"budget.{kind}.per_day")
            what = f"is more than {keys[1]}, {allowance.per_day}"
            found.append((keys, what, "More at once than in a day cannot be."))
    return found
