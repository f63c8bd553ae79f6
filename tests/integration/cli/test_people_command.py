"""`alerting people` and `keys`, and who types: by a token or by the account, never by a name."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select, update

from alerting.cli import cli
from alerting.cli.doctor.examine import examine
from alerting.cli.up import _first_person
from alerting.domain.principal import RIGHTS
from alerting.errors import AlertingError
from alerting.settings import Settings, load_settings, settings
from alerting.store.admin import stored_people
from alerting.store.db import Database
from alerting.store.schema import alarm, alert, api_key, audit, person

EXAMPLES = Path(__file__).parents[3] / "examples"
FLOOD = str(EXAMPLES / "flood.xml")
AREA = {
    "type": "Polygon",
    "coordinates": [[[2.3, 54.4], [2.7, 54.4], [2.7, 54.7], [2.3, 54.7], [2.3, 54.4]]],
}

#: Types `alerting …`: the exit code, and what was printed or went wrong.
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> Run:
    """Where nobody is known yet."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def typed(*words: str, token: str = "") -> tuple[int, str]:
        monkeypatch.setenv("ALERTING_TOKEN", token)
        settings.cache_clear()
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if isinstance(done.exception, click.ClickException):
            return 2, done.exception.format_message()
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return typed


def said(run: Run, *words: str, **how: str) -> Any:
    code, out = run(*words, "--json", **how)
    assert code == 0, out
    return json.loads(out)


def rows(database_url: str, query: Any) -> list[tuple[Any, ...]]:
    async def ask() -> list[tuple[Any, ...]]:
        db = Database(database_url)
        async with db.begin() as c:
            found = await c.execute(query)
            got = [tuple(row) for row in found] if found.returns_rows else []
        await db.close()
        return got

    return asyncio.run(ask())


@pytest.fixture
def policy_file(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text("[budget]\nspacing_s = 60\n", encoding="utf-8")
    return str(path)


#: Each command that sends, lets go, ends, silences, decides or makes who may, with the right.
NEED_SOMEBODY = {
    ("submit", "--now", FLOOD): "submit",
    ("approve", "held-1"): "approve",
    ("cancel", "held-1"): "submit",
    ("silence", "add", "event=Flood", "--for", "2h", "--comment", "Why"): "silence",
    ("silence", "end", "abcdef12"): "silence",
    ("policy", "set", "FILE"): "policy",
    ("policy", "rollback", "0"): "policy",
    ("policy", "shadow", "FILE"): "policy",
    ("policy", "shadow", "--off"): "policy",
    ("event", "merge", "held-1", "held-1"): "approve",
    ("event", "split", "held-1"): "approve",
    ("keys", "create", "k", "--right", "read"): "people",
    ("keys", "assign", "k", "--machine"): "people",
    ("keys", "revoke", "k"): "people",
    ("people", "add", "zoe", "--uid", "4711", "--sender", "*"): "people",
    ("people", "end", "chief"): "people",
}

#: Operator's work, which needs nobody; each is told its exit code with an empty database.
NEED_NOBODY = {
    ("status", "held-1"): 0,
    ("why", "held-1", "A-1"): 2,
    ("alarms",): 1,
    ("alarms", "close", "1"): 0,
    ("citizens", "stats"): 0,
    ("citizens", "import", str(EXAMPLES / "citizens.csv")): 0,
    ("keys", "list"): 0,
    ("people", "list"): 0,
    ("policy", "show"): 0,
    ("policy", "check", "FILE"): 0,
    ("policy", "history"): 0,
    ("silence", "list"): 0,
    ("event", "questions"): 0,
    ("prune", "--dry-run"): 0,
    ("migrate",): 0,
}


@pytest.fixture
def held(run: Run, database_url: str) -> None:
    """A person who is somebody else, an alert that waits, and an alarm."""
    assert run("people", "add", "chief", "--uid", "4242")[0] == 0
    assert run("people", "list")[1].startswith("chief")
    rows(
        database_url,
        insert(alert).values(
            id="00000000-0000-4000-8000-000000000001", sender="centre@example.org",
            identifier="held-1", sent_at="2026-11-01T00:00:00Z", status="Actual",
            msg_type="Alert", scope="Public", lane="severe", document={"identifier": "held-1"},
            thread_id="00000000-0000-4000-8000-000000000001",
            event_id="00000000-0000-4000-8000-000000000001", source=b"", source_hash=b"",
            state="held", expires_at="2036-11-01T00:00:00Z", submitted_by="key:x",
        ),
    )  # fmt: skip
    rows(database_url, insert(alarm).values(kind="provider-down", subject="sms.1", sentence="."))


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("words", NEED_SOMEBODY, ids=lambda w: " ".join(w[:2]))
def test_command_with_accountability_needs_a_person(
    run: Run, words: tuple[str, ...], policy_file: str, monkeypatch: pytest.MonkeyPatch,
    database_url: str,
) -> None:  # fmt: skip
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "chief")
    before = len(rows(database_url, select(audit.c.id)))
    typed = [policy_file if w == "FILE" else w for w in words]
    code, out = run(*typed)
    assert code == 2
    assert out == (
        f"This account's uid {os.getuid()} belongs to no known person, and ALERTING_TOKEN is not "
        "set. "
        f"`alerting people add NAME --uid {os.getuid()}` assigns the account, or set "
        "ALERTING_TOKEN to an API key of yours."
    )
    assert len(rows(database_url, select(audit.c.id))) == before, "nothing was changed"


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("words", NEED_SOMEBODY, ids=lambda w: " ".join(w[:2]))
def test_command_needs_its_right(
    run: Run, words: tuple[str, ...], policy_file: str, database_url: str
) -> None:
    others = [r for r in RIGHTS if r != NEED_SOMEBODY[words]]
    values = {"name": "ada", "uid": os.getuid(), "rights": others, "senders": ["*"]}
    known = {"id": "00000000-0000-4000-8000-00000000000a", "statuses": ["Actual"]}
    rows(database_url, insert(person).values({**values, **known}))
    code, out = run(*[policy_file if w == "FILE" else w for w in words])
    assert (code, out.partition(".")[0]) == (
        2, f"person:ada does not have the right {NEED_SOMEBODY[words]!r}",
    )  # fmt: skip


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("words", NEED_NOBODY, ids=lambda w: " ".join(w[:2]))
def test_operator_command_needs_no_person(
    run: Run, words: tuple[str, ...], policy_file: str
) -> None:
    code, out = run(*[policy_file if w == "FILE" else w for w in words])
    assert code == NEED_NOBODY[words], out
    assert "Nobody is known" not in out


def test_first_person_must_be_able_to_act(run: Run) -> None:
    code, out = run("people", "add", "ada")
    assert (code, "Give --uid for their account on this machine, or --key" in out) == (2, True)
    added = said(run, "people", "add", "ada", "--uid", str(os.getuid()))
    assert added == {
        "name": "ada", "uid": os.getuid(), "rights": list(RIGHTS), "senders": ["*"],
        "statuses": ["Actual", "Exercise", "System", "Test", "Draft"],
        "limited_to_an_area": False,
    }  # fmt: skip
    assert said(run, "people", "list")["people"][0]["name"] == "ada"
    code, out = run("people", "add", "ben")
    assert (code, "not said for which senders ben speaks" in out) == (2, True)
    assert run("people", "add", "ben", "--sender", "*@example.org")[0] == 0
    code, out = run("people", "list")
    assert re.search(r"^ben .* submit read, for \*@example\.org$", out, re.M)
    assert run("people", "end", "ben")[1] == "ben may no longer act here.\n"
    assert re.search(r"^ben .* ended 20", run("people", "list")[1], re.M)


def test_first_person_without_account_acts_by_key(run: Run, database_url: str) -> None:
    """As in containers, where everybody has one uid."""
    token = said(run, "people", "add", "ada", "--key", "ada-1")["key"]
    assert run("silence", "end", "abcdef12")[1].startswith("This account's uid ")
    made = said(run, "submit", "--now", FLOOD, token=token)
    assert made["created"]
    # A token goes before the account, and a bad one is not forgiven for it.
    said(run, "people", "add", "ben", "--uid", str(os.getuid()), "--sender", "*", token=token)
    assert run("policy", "rollback", "0")[1].startswith("person:ben does not have the right")
    assert run("policy", "rollback", "0", token=token)[0] == 0
    for bad, words in [("ak_x_y", "is not valid"), (token[:-1], "is not valid")]:
        code, out = run("policy", "rollback", "0", token=bad)
        assert (code, out.startswith("ALERTING_TOKEN: The API key " + words)) == (2, True), out
        assert "unset ALERTING_TOKEN" in out
    rows(database_url, update(api_key).values(expires_at="2020-01-01T00:00:00Z"))
    assert "has expired" in run("policy", "rollback", "0", token=token)[1]
    actors = rows(database_url, select(audit.c.actor, audit.c.action).order_by(audit.c.id))
    assert actors == [
        ("person:ada", "person.add"),
        ("person:ada", "key.create"),
        ("person:ada key:ada-1", "alert.submit"),
        ("person:ada key:ada-1", "person.add"),
        ("person:ada key:ada-1", "policy.rollback"),
    ]


def test_token_in_settings_file_is_no_identity(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = said(run, "people", "add", "ada", "--key", "ada-1")["key"]
    (tmp_path / ".env").write_text(f"ALERTING_TOKEN={token}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run("policy", "rollback", "0")[1].startswith("This account's uid ")


@pytest.mark.usefixtures("operator")
def test_key_is_created_and_listed_with_limits(run: Run, tmp_path: Path) -> None:
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps(AREA), encoding="utf-8")
    made = said(
        run, "keys", "create", "gauges", "--right", "submit", "--sender", "gauges@example.org",
        "--area", str(area), "--status", "Actual", "--expires", "90d",
    )  # fmt: skip
    assert made["key"].startswith("ak_")
    (listed,) = said(run, "keys", "list")["keys"]
    assert (listed["person"], listed["assigned"]) == (None, True)
    assert (listed["senders"], listed["statuses"], listed["rights"]) == (
        ["gauges@example.org"], ["Actual"], ["submit"],
    )  # fmt: skip
    assert listed["limited_to_an_area"]
    line = run("keys", "list")[1]
    assert "a machine" in line
    assert "submit, for gauges@example.org, as Actual, within an area" in line
    said(run, "keys", "create", "op-1", "--person", "operator", "--right", "approve")
    assert re.search(r"^op-1 .* operator .* live .* approve$", run("keys", "list")[1], re.M)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--area", "none.geojson"), "none.geojson cannot be read"),
        (("--area", FLOOD), "is no JSON"),
        (("--expires", "2020-01-01T00:00:00Z"), "would have expired already"),
        (("--expires", "soon"), "--expires is no time with its offset"),
        (("--expires", "9 d"), "is not a duration"),
        (("--status", "Real"), "'Real' is not one of"),
        (("--person", "nobody"), "There is no person 'nobody'"),
        (("--right", "approve"), "A machine does not have the right 'approve'"),
        (("--sender", "a b"), "is no sender"),
    ],
)
def test_bad_key_is_refused(run: Run, words: tuple[str, ...], fault: str) -> None:
    sender = () if "--sender" in words else ("--sender", "*")
    code, out = run("keys", "create", "k", *sender, *words)
    assert code == 2
    assert fault in out
    assert said(run, "keys", "list") == {"keys": []}


@pytest.mark.usefixtures("operator")
def test_unassigned_keys_are_listed_and_assigned(run: Run, database_url: str) -> None:
    def found() -> str:
        (check,) = [c for c in asyncio.run(examine(load_settings())) if c.name == "keys"]
        assert check.good, "they work as before"
        return f"{check.found}: {check.remedy}".removesuffix(": ")

    for n in range(3):
        values = {"prefix": str(n), "name": f"old-{n}", "sha256": b"", "rights": ["submit"]}
        rows(database_url, insert(api_key).values(values))
    assert run("keys", "revoke", "old-2")[0] == 0
    assert found() == (
        "2 live, of which old-0, old-1 belong to nobody: `alerting keys assign NAME --person P | "
        "--machine`"
    )
    assert run("keys", "assign", "old-0")[0] == 2
    assert run("keys", "assign", "old-0", "--machine", "--person", "operator")[0] == 2
    code, out = run("keys", "assign", "old-0", "--machine")
    assert (code, out) == (0, "The key 'old-0' is of a machine: submit.\n")
    code, out = run("keys", "assign", "old-1", "--person", "operator")
    assert (code, out) == (0, "The key 'old-1' is of operator: submit.\n")
    assert found() == "2 live"


def test_system_without_people_is_open_to_its_owner(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Settings(database_url=database_url)

    async def start() -> list[tuple[str, int | None, frozenset[str]]]:
        await _first_person(config)
        db = Database(database_url)
        async with db.begin() as c:
            found = await stored_people.every(c)
        await db.close()
        return [(p.name, p.uid, p.principal.rights) for p in found]

    assert asyncio.run(start()) == [("operator", os.getuid(), frozenset(RIGHTS))]
    assert f"your account (uid {os.getuid()}) is now the person 'operator'" in (
        capsys.readouterr().err
    )
    assert len(asyncio.run(start())) == 1
    assert capsys.readouterr().err == ""
