"""`alerting citizens` and `alerting audit`: who is reached, why not, and who looked."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import cli
from alerting.errors import AlertingError
from alerting.settings import settings
from alerting.store import audit_log
from alerting.store.admin import audit_chain
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import Database
from alerting.store.schema import address

Run = Callable[..., tuple[int, str]]

NIGHT = "roster.add night shift"

REGISTER = """ref,sms,email
a,+447700900123,a@example.org
b,+447700900123,
bad,+44 770O 900 123,
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Run:
    """Types `alerting …`: the exit code, and what was printed or went wrong."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    settings.cache_clear()

    def typed(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return typed


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "register.csv"
    path.write_text(REGISTER, encoding="utf-8")
    return str(path)


def do(database_url: str, work: Callable[[AsyncConnection], Awaitable[object]]) -> None:
    async def go() -> None:
        db = Database(database_url)
        async with db.begin() as c:
            await work(c)
        await db.close()

    asyncio.run(go())


def test_import_dry_run_changes_nothing(run: Run, file: str) -> None:
    for _ in range(2):
        code, out = run("citizens", "import", file, "--dry-run")
        assert code == 1
        assert (
            "Nothing was changed; it would be: 3 lines: 2 added, 0 changed, 0 unchanged, 1" in out
        )
    assert json.loads(run("citizens", "stats", "--json")[1])["citizens"] == 0
    assert json.loads(run("audit", "list", "--json")[1]) == []
    assert json.loads(run("citizens", "import", file, "--json")[1])["added"] == 2


def test_show_and_restore_unused_address(run: Run, file: str, database_url: str) -> None:
    run("citizens", "import", file)
    assert run("citizens", "show", "a") == (
        0,
        "sms    +44…23  in use\nemail  a…@example.org  in use\n",
    )
    number = Endpoint("sms", "+447700900123")
    do(
        database_url,
        lambda c: suppressions.stop(c, [number], Source.REPLY, actor="citizen"),
    )
    code, out = run("citizens", "show", "b", "--json")
    (shown,) = json.loads(out)
    assert (code, shown["used"], shown["endpoint"]) == (0, False, "+44…23")
    assert shown["reasons"][0].startswith("Its owner answered STOP, on 20")
    code, out = run("citizens", "restore", "a", "--why", "phoned")
    assert code == 2
    assert "Its owner answered STOP" in out
    assert "--asked" in out
    code, out = run("citizens", "restore", "a", "--why", "phoned", "--asked")
    assert (code, out) == (0, "sms +44…23 is used again.\n")
    assert "in use" in run("citizens", "show", "b")[1]
    assert run("citizens", "restore", "a", "--why", "phoned")[0] == 2
    assert run("citizens", "show", "nobody")[0] == 2


def test_restore_reports_what_the_register_still_says(
    run: Run, file: str, database_url: str
) -> None:
    run("citizens", "import", file)
    number = Endpoint("sms", "+447700900123")

    async def left_without_consent(c: AsyncConnection) -> None:
        await c.execute(address.update().where(address.c.channel == "sms").values(consent=False))
        await suppressions.stop(c, [number], Source.REPLY, actor="citizen")

    do(database_url, left_without_consent)
    code, out = run("citizens", "restore", "a", "--asked", "--why", "phoned")
    assert "is used again" not in out
    assert "sms +44…23 is still not used. The register has no consent for it. Correct" in out
    assert code == 1


def test_audit_in_plain_text(run: Run, file: str, database_url: str) -> None:
    me = f"uid:{os.getuid()}"
    run("citizens", "import", file)
    run("citizens", "show", "a")
    code, out = run("audit", "list", "--subject", "citizen a")
    assert code == 0
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  {me}  citizen.show  citizen a  \n", out
    )
    lines = json.loads(run("audit", "list", "--actor", me, "--json")[1])
    assert [x["action"] for x in lines] == ["citizens.import", "citizen.show"]
    assert lines[0]["detail"] == {"lines": [2, 3], "added": 2, "changed": 0}
    code, out = run("audit", "verify")
    assert code == 0
    assert "is as it was written: 0 lines are sealed, 2 are not yet." in out
    do(database_url, lambda c: audit_chain.seal(c, limit=10))
    code, out = run("audit", "verify", "--json")
    found = json.loads(out)
    assert (code, found["sealed"], found["broken"]) == (0, 2, [])
    assert run("audit", "verify", "--head", found["head"])[0] == 0

    async def tamper(c: AsyncConnection) -> None:
        await c.exec_driver_sql("alter table audit disable trigger user")
        await c.exec_driver_sql("delete from audit where seq = 2")

    do(database_url, tamper)
    assert run("audit", "verify")[0] == 0
    code, out = run("audit", "verify", "--head", found["head"])
    assert code == 1
    assert "At line 2: the chain ends before the head that was noted." in out
    assert run("audit", "verify", "--head", "nonsense")[0] == 2
    assert run("audit", "list", "--since", "yesterday")[0] == 2


def test_audit_finds_lines_of_a_citizen(run: Run, database_url: str) -> None:
    async def work(c: AsyncConnection) -> None:
        await audit_log.record(c, "uid:1", "citizen.show", "citizen a")
        await audit_log.record(c, "uid:1", "alert.why", "an alert", {"citizen": "a"})
        await audit_log.record(c, "uid:1", "alert.why", "an alert", {"citizen": "b"})
        await audit_log.record(c, "uid:1", "roster.add", "night shift", {"citizens": ["a", "b"]})
        await audit_log.record(c, "uid:1", "roster.add", "night shift", {"citizens": ["ab"]})

    do(database_url, work)

    def found(subject: str) -> list[str]:
        lines = json.loads(run("audit", "list", "--subject", subject, "--json")[1])
        return [f"{line['action']} {line['subject']}" for line in lines]

    assert found("citizen a") == ["citizen.show citizen a", "alert.why an alert", NIGHT]
    assert found("citizen b") == ["alert.why an alert", NIGHT]
    assert found("a") == []
    assert "Of --alert and --subject one match is enough." in run("audit", "list", "--help")[1]
