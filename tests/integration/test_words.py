"""The checker of words: it finds them in prose and names, and only where a rule holds."""

from __future__ import annotations

import re

from words import Rule, findings, load, main

_RULES = [Rule(re.compile(r"\bgraver\b"), "more severe", ("alerting/*",), ("`graver`",))]
_NAMES = frozenset({"one_flight"})


def _found(path: str, text: str) -> list[tuple[int, str]]:
    return [(line, word) for line, word, _ in findings(path, text, _RULES, _NAMES)]


def test_findings_in_comments_docstrings_and_messages() -> None:
    text = '"""A thing.\n\nIt is graver.\n"""\nx = 1  # graver\nerror("no graver one")\n'
    assert _found("alerting/a.py", text) == [(3, "graver"), (5, "graver"), (6, "graver")]


def test_findings_leaves_names_and_allowed_texts_alone() -> None:
    assert _found("alerting/a.py", "graver = 1  # see `graver`\n") == []


def test_findings_of_replaced_names() -> None:
    assert _found("tests/a.py", "x = one_flight(y)\n") == [(1, "one_flight")]


def test_findings_only_where_the_rule_holds() -> None:
    assert _found("docs/a.md", "A graver one.\n") == []


def test_findings_in_markdown_outside_of_code() -> None:
    rules = [Rule(re.compile("graver"), "", ("docs/*",))]
    text = "`graver`\n```\ngraver\n```\nIt is graver.\n"
    assert list(findings("docs/a.md", text, rules, _NAMES)) == [(5, "graver", "")]


def test_findings_of_long_test_names() -> None:
    long = "test_planner_" + "x" * 60
    assert _found("tests/a.py", f"def {long}(): ...\n") == [(1, long)]
    assert _found("tests/a.py", f"def {long[:72]}(): ...\n") == []


def test_main_finds_no_unwanted_word(capsys) -> None:  # type: ignore[no-untyped-def]
    rules, _ = load()
    assert rules
    assert main() == 0, capsys.readouterr().out
