"""`docs/architecture.md` tells of the code as it is: its links, names, tables, lanes, processes."""

from __future__ import annotations

import re
from functools import cache

import pytest
import yaml
from doc_pages import DOCS, ROOT, definitions, links, named, names_in, rows, section, text_of
from pydantic import BaseModel

from alerting.channels import registry
from alerting.dispatch.broker import TASK, make_app
from alerting.domain.lane import Lane
from alerting.embedded.processes import processes
from alerting.settings import Settings
from alerting.store.schema import metadata
from alerting.throttle.policy.model import policy_type

PAGE = DOCS / "architecture.md"

#: Sections whose tables say in the last column which tables of the database a step uses.
STEPS = ("Intake", "Plan", "Deliver", "Follow-up")


@cache
def code_links() -> dict[str, str]:
    """Targets in the code, by label."""
    return {k: v for k, v in definitions(PAGE).items() if v.startswith("../")}


@pytest.mark.parametrize("label", sorted(code_links()))
def test_linked_file_exists(label: str) -> None:
    target = code_links()[label]
    assert (DOCS / target).resolve().is_file(), f"[{label}]: {target} is gone; mend the page's foot"


def test_every_link_target_is_used() -> None:
    used = {link.target for link in links(PAGE)}
    assert sorted(set(definitions(PAGE).values()) - used) == []


def test_name_in_backticks_exists_in_its_file() -> None:
    stale = []
    for text, target in links(PAGE):
        path = (DOCS / target).resolve()
        if path.suffix == ".py" and path.is_file():
            stale += [f"{n} in {target}" for n in named(text) if n not in names_in(path)]
    assert stale == []


def test_label_with_file_name_links_to_that_file() -> None:
    wrong = [
        f"[{label}]: {target}"
        for label, target in code_links().items()
        if "." in label and not target.lower().endswith(f"/{label}")
    ]
    assert wrong == []


def test_every_package_is_on_the_page() -> None:
    linked = [(DOCS / target).resolve() for target in code_links().values()]
    packages = {p.parent for p in (ROOT / "alerting").rglob("*.py") if "migrations" not in p.parts}
    missing = [
        p.relative_to(ROOT).as_posix()
        for p in sorted(packages)
        if not any(file.is_relative_to(p) for file in linked)
        and f"`{p.relative_to(ROOT).as_posix()}`" not in text_of(PAGE)
    ]
    assert missing == []


def test_tables_match_the_schema() -> None:
    listed = [name for row in rows(section(PAGE, "Tables")) for name in named(row[0])]
    assert sorted(listed) == sorted(metadata.tables)


@pytest.mark.parametrize("heading", STEPS)
def test_steps_use_existing_tables(heading: str) -> None:
    steps = rows(section(PAGE, heading))
    assert steps
    assert {name for row in steps for name in named(row[-1])} <= set(metadata.tables)


def test_steps_are_numbered_in_order() -> None:
    steps = [row[0] for heading in STEPS for row in rows(section(PAGE, heading)) if row[0]]
    assert steps == [str(n) for n in range(1, len(steps) + 1)]


def test_lanes_match_the_code() -> None:
    listed = [name for row in rows(section(PAGE, "Lanes")) for name in named(row[0])]
    assert listed == [lane.value for lane in Lane]
    assert {queue.name for queue in make_app("memory://").conf.task_queues} == set(listed)


def test_celery_task_is_named() -> None:
    words = set(re.findall(r"alerting\.work\b", text_of(PAGE)))
    assert words == {TASK}
    entry = (ROOT / "worker.py").read_text(encoding="utf-8")
    # A second task would need a place on the page.
    assert re.findall(r"^@app\.task\(name=(\w+)", entry, re.M) == ["TASK"]


def test_processes_match_those_started() -> None:
    listed = {named(row[0])[0]: named(row[1])[0] for row in rows(section(PAGE, "Processes"))}
    started = {spec.name: " ".join(spec.command) for spec in processes(Settings(), "pg", "redis")}
    assert listed.keys() == started.keys()
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    composed = [" ".join(s.get("command", [])) for s in compose["services"].values()]
    for name, command in listed.items():
        # Both put options of their own behind what the page shows.
        assert command.removeprefix("alerting ").split(" worker ")[-1] in started[name], name
        assert name == "carriers" or any(c.startswith(command) for c in composed), name


def test_named_settings_exist() -> None:
    names = set(re.findall(r"ALERTING_[A-Z0-9_]+", text_of(PAGE)))
    assert names <= set(Settings().to_environment())
    policy = policy_type(tuple(sorted(registry.rates())))
    sections = "|".join(policy.model_fields)
    for path in re.findall(rf"`((?:{sections})(?:\.[a-z_]+)+)`", text_of(PAGE)):
        there: type[BaseModel] | None = policy
        for name in path.split("."):
            assert there is not None, path
            assert name in there.model_fields, path
            kind = there.model_fields[name].annotation
            there = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
