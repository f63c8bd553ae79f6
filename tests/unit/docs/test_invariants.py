"""`docs/invariants.md` names what exists, and everything that is cited by number is on it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT, every_page, named, names_in, text_of

PAGE = DOCS / "invariants.md"
NUMBERS = range(1, 18)

_CITED = re.compile(r"\binvariants? (\d+)(?:(?:,| and) (\d+))*", re.I)


@cache
def parts() -> dict[int, str]:
    """What the page says of each, by its number."""
    found = re.split(r"^## (\d+)\. ", text_of(PAGE), flags=re.M)
    return {int(no): text for no, text in zip(found[1::2], found[2::2], strict=True)}


def line_of(no: int, word: str) -> list[str]:
    found = re.search(rf"^- {word}: (.+)$", parts()[no], re.M)
    assert found is not None, f"invariant {no} does not say what it is {word.lower()}"
    return named(found[1])


def cited(text: str) -> set[int]:
    return {int(n) for found in _CITED.finditer(text) for n in re.findall(r"\d+", found[0])}


def test_all_invariants_are_listed_in_order() -> None:
    assert list(parts()) == list(NUMBERS)


@pytest.mark.parametrize("no", NUMBERS)
def test_cited_code_exists(no: int) -> None:
    files = line_of(no, "Held by")
    assert files
    assert [f for f in files if not (ROOT / f).is_file()] == []


@pytest.mark.parametrize("no", NUMBERS)
def test_cited_tests_exist(no: int) -> None:
    tests = line_of(no, "Tested by")
    assert tests
    for one in tests:
        file, _, name = one.partition("::")
        assert (ROOT / file).is_file(), one
        assert name in names_in(ROOT / file), one


def test_code_cites_invariants_that_name_it() -> None:
    files = {no: line_of(no, "Held by") for no in NUMBERS}
    wrong = [
        f"{file} cites invariant {no}"
        for path in (ROOT / "alerting").rglob("*.py")
        for no in cited(path.read_text(encoding="utf-8"))
        if (file := path.relative_to(ROOT).as_posix()) not in files.get(no, [])
    ]
    assert wrong == []


def test_tests_and_pages_cite_existing_invariants() -> None:
    here = Path(__file__)
    paths = [*(p for p in (ROOT / "tests").rglob("*.py") if p != here), *every_page()]
    wrong = [
        f"{path.relative_to(ROOT)} cites invariant {no}"
        for path in paths
        for no in cited(path.read_text(encoding="utf-8"))
        if no not in NUMBERS
    ]
    assert wrong == []
