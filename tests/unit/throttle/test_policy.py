from __future__ import annotations

import re
from datetime import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.errors import BadInput
from alerting.throttle.policy.model import Policy, bounds, field_at, keys_of
from alerting.throttle.policy.parse import (
    PolicyRefused,
    default_policy,
    default_toml,
    old_words,
    parse_policy,
)
from alerting.throttle.policy.policy_errors import key_lines

#: As it is with the channels of the default file.
POLICY = type(default_policy())

DOC = Path(__file__).parents[3] / "docs" / "policy.md"

SECTIONS = [p for p in keys_of(POLICY) if field_at(POLICY, p).json_schema_extra is None]
KEYS = [p for p in keys_of(POLICY) if p not in SECTIONS]
NUMBERS = [p for p in KEYS if "why" in (field_at(POLICY, p).json_schema_extra or {})]


def faults(text: str) -> list[str]:
    with pytest.raises(PolicyRefused) as refused:
        parse_policy(text, name="p.toml")
    assert isinstance(refused.value, BadInput)
    assert refused.value.exit_code == 2
    return [str(p) for p in refused.value.problems]


def write(path: tuple[str, ...], value: object) -> str:
    section = f"[{'.'.join(path[:-1])}]\n" if path[:-1] else ""
    return f"# a line above\n{section}{path[-1]} = {value}\n"


def value_of(policy: Policy, path: tuple[str, ...]) -> object:
    value: object = policy.model_dump(mode="json", by_alias=True)
    for step in path:
        if isinstance(value, list):
            [value] = value
        assert isinstance(value, dict)
        value = value[step]
    return value


def test_empty_file_is_the_default_policy() -> None:
    assert parse_policy("") == default_policy()


def test_default_file_lists_every_key() -> None:
    assert set(key_lines(default_toml())) == set(keys_of(POLICY))


def test_given_key_overrides_only_itself() -> None:
    policy = parse_policy('[quiet]\nto = "06:30"\n[pace.sms]\nper_second = 40\n')
    assert (policy.quiet.start, policy.quiet.end) == (time(22), time(6, 30))
    assert (policy.pace.of("sms").per_second, policy.pace.of("sms").horizon_s) == (40, 0.5)
    assert policy.pace.of("email") == default_policy().pace.of("email")


def test_policy_is_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        default_policy().budget.spacing_s = 0


def test_no_key_limits_extreme_or_severe() -> None:
    limits = [p for p in KEYS if p[0] in {"budget", "quiet", "group_wait"}]
    assert not [p for p in limits if {"extreme", "severe"} & set(re.split(r"[._]", ".".join(p)))]


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_number_out_of_bounds_is_refused_with_reason(path: tuple[str, ...]) -> None:
    low, high, why = bounds(field_at(POLICY, path))
    for bad in (low - 1, high + 1):
        shown = str(int(bad)) if bad == int(bad) else str(bad)
        [fault] = faults(write(path, shown))
        assert fault.startswith(f"line 3: {'.'.join(path)} is {shown}, ")
        assert why in fault
        assert "Write a number from " in fault


@pytest.mark.parametrize("path", KEYS, ids=".".join)
@pytest.mark.parametrize("value", ["true", "{}", "[[1]]", '"\\u0007 none"', "nan", "1979-05-27"])
def test_wrong_type_is_refused_with_line_and_key(path: tuple[str, ...], value: str) -> None:
    [fault] = faults(write(path, value))
    assert fault.startswith(f"line 3: {'.'.join(path)} ")
    assert "take" in fault


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_misspelt_key_gets_a_suggestion(path: tuple[str, ...]) -> None:
    [fault] = faults(write((*path[:-1], f"{path[-1]}z"), 1))
    assert fault.startswith(f"line 3: there is no key {'.'.join(path)}z. ")
    assert f"Did you mean {'.'.join(path)}?" in fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[budgett]\nx = 1", "line 1: there is no section budgett. Did you mean budget?"),
        ("[quiet]\nsure = 1", "line 2: there is no key quiet.sure. It belongs in same_event.sure."),
        (
            "extreme = 1",
            "line 1: there is no key extreme. A policy has budget, quiet, thread, same_event, "
            "group_wait, storm, redis, pace.",
        ),
        ("pace = 3", "line 1: pace is 3, but it is a section. Write [pace] and its keys below."),
        (
            '[quiet]\nslots = ["08:00",\n "23:30"]',
            "line 2: quiet.slots names 23:30, which lies in the quiet hours from 22:00 to 07:00. "
            "Choose a time outside them: a digest may not wake anybody.",
        ),
        (
            '[quiet]\nto = "08:30"',
            "line 1: quiet.slots names 08:00, which lies in the quiet hours from 22:00 to 08:30. "
            "Choose a time outside them: a digest may not wake anybody.",
        ),
        (
            '[quiet]\nfrom = "25:00"',
            'line 2: quiet.from is "25:00"; it takes a time of day like "22:00".',
        ),
        ('[quiet]\nslots = ["09:00", "09:00"]', "line 2: quiet.slots names a time twice."),
        ('[quiet]\nfrom="01:00"\nto="19:00"\nslots=["20:00"]', "line 3: quiet.to makes the quiet"),
        ("[same_event]\nunsure = 0.9", "line 2: same_event.unsure is more than same_event.sure"),
        ("[thread]\nrepeat_extreme_s = 3600", "line 2: thread.repeat_extreme_s is more than"),
        ("[storm]\nwindow_s = 86400\nhistory_s = 3600", "line 3: storm.history_s is less than"),
        ("[budget.minor]\nat_once = 4", "line 2: budget.minor.at_once is more than"),
        ("[quiet]\n\nfrom = \n", "line 3: this is not TOML: invalid value."),
        ("a = 1\na = 1", "line 2: this is not TOML: cannot overwrite a value."),
        ("x = [\n1,\n", "line 2: this is not TOML"),
        ("a = " + "[" * 3000, "this is nested too deeply."),
        ("#" * 70_000, "this has 70,000 characters, more than 65,536."),
    ],
)  # fmt: skip
def test_error_names_its_line(text: str, fault: str) -> None:
    [found] = faults(text)
    assert found.startswith(fault)


def test_error_in_repeated_section_names_its_own_line() -> None:
    text = """[storm]
at_least = 3
[[storm.preauthorised]]
keys = ["gauges-*"]
hazards = ["floood"]
[[storm.preauthorised]]
key = ["centre"]
area = ["50,8 50,9"]
"""
    found = faults(text)
    assert [f.partition(": ")[0] for f in found] == ["line 5", "line 7", "line 8"]
    assert "storm.preauthorised.hazards names floood; it takes a list like" in found[0]
    assert "Did you mean storm.preauthorised.keys?" in found[1]
    assert "storm.preauthorised.area takes polygons as in CAP" in found[2]
    many = parse_policy('[[storm.preauthorised]]\nkeys = ["a"]\n' * 2).storm.preauthorised
    assert [p.keys for p in many] == [("a",), ("a",)]


@pytest.mark.parametrize(
    ("text", "keys", "notes"),
    [
        ('preauthorised = ["*"]', [("*",)], 0),
        ("preauthorised = []", [], 0),
        ('preauthorised = ["*", "dwd@example.org"]', [("*",), ("dwd@example.org",)], 1),
    ],
)
def test_old_policy_with_senders_gets_a_note(
    text: str, keys: list[tuple[str, ...]], notes: int
) -> None:
    text = f"[storm]\n{text}\n"
    assert [p.keys for p in parse_policy(text).storm.preauthorised] == keys
    notified = old_words(text)
    assert len(notified) == notes
    assert all("line 2: " in t and "no longer with senders" in t for t in notified)


def test_all_errors_are_reported_in_file_order() -> None:
    text = """
[budget]
spacing_sec = 5
moderate = {at_once = "x", per_day = 3}   # [quiet] is no section here
[quiet]
to = "never"
slots = [ "04:00",  # ] nor does this end the list
  "09:00", "09:00" ]
[storm]
preauthorised = [3]
"""
    found = faults(text)
    assert [f.partition(": ")[0] for f in found] == [
        "line 3", "line 4", "line 6", "line 7", "line 10",
    ]  # fmt: skip
    assert "04:00" not in "".join(found), "which hours are meant is not known"
    with pytest.raises(PolicyRefused) as refused:
        parse_policy(text, name="p.toml")
    assert str(refused.value).startswith("The policy p.toml has 5 faults:\n  p.toml, line 3: ")


@given(st.text(alphabet=st.sampled_from(list("ab=[]{}\"'#\n .,1")), max_size=60) | st.text())
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        parse_policy(text)
    except PolicyRefused as e:
        notified = e.problems
    else:
        return
    assert notified
    assert all(p.what for p in notified)


def documented() -> dict[tuple[str, ...], list[str]]:
    """The rows of the tables in docs/policy.md, by key: default, bounds, unit, effect."""
    rows: dict[tuple[str, ...], list[str]] = {}
    section: list[tuple[str, ...]] = []
    for line in DOC.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = [tuple(s.split(".")) for s in re.findall(r"`\[+([a-z_.]+)\]+`", line)]
        elif cells := re.match(r"\| `([a-z_]+)` \|(.*)\|$", line):
            for above in section:
                rows[(*above, cells[1])] = [c.strip() for c in cells[2].split("|")]
    return rows


def test_page_documents_every_key_and_no_other() -> None:
    assert set(documented()) == set(KEYS)


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_page_has_defaults_and_bounds_of_the_code(path: tuple[str, ...]) -> None:
    default, limits, unit, effect = documented()[path]
    value = value_of(default_policy(), path)
    shown = re.findall(r"[\d.:]+|UTC|\*", default.replace(",", ""))
    if path[0] == "budget" and path[-1] != "spacing_s":
        shown = [dict(zip(("moderate", "minor", "routine"), shown, strict=True))[path[1]]]
    expected = value if isinstance(value, list) else [value]
    assert shown == [f"{v:g}" if isinstance(v, float) else str(v) for v in expected]
    if path in NUMBERS:
        low, high, _ = bounds(field_at(POLICY, path))
        assert [float(n) for n in limits.replace(",", "").split(" … ")] == [low, high]
    assert unit
    assert effect.endswith(".")
