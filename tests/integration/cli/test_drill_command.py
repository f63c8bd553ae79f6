from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alerting.audience.importing import import_file
from alerting.cli.doctor import ours, services
from alerting.cli.doctor.check import Note
from alerting.cli.drill import drill
from alerting.errors import AlertingError
from alerting.settings import Settings
from alerting.store.db import Database

REGISTER = Path(__file__).parents[3] / "examples" / "citizens.csv"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> Run:
    async def fill() -> None:
        db = Database(database_url)
        await import_file(db, REGISTER, errors=tmp_path / "errors.csv")
        await db.close()

    asyncio.run(fill())
    monkeypatch.setenv("DATABASE_URL", database_url)

    def typed(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(drill, ["roster", *words], standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, done.stdout, str(done.exception)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout, done.stderr

    return typed


def said(run: Run, *words: str) -> Any:
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_drill_create_add_remove_and_list(run: Run) -> None:
    assert said(run, "create", "lighthouse") == {"roster": "lighthouse"}
    assert run("create", "night shift") == (0, "Roster night shift is there.\n", "")
    assert said(run, "add", "lighthouse", "A-1", "A-3", "--source", "form 7") == {
        "roster": "lighthouse", "added": 2,
    }  # fmt: skip
    assert run("add", "lighthouse", "A-1", "A-2")[1] == "1 joined lighthouse.\n"
    assert said(run, "remove", "lighthouse", "A-3", "A-4")["removed"] == 1
    first, second = said(run, "list")["rosters"]
    assert (first["name"], first["members"], first["left"]) == ("lighthouse", 2, 1)
    assert (second["name"], second["members"]) == ("night shift", 0)
    one, two, three = said(run, "list", "lighthouse")["members"]
    assert (one["citizen"], one["source"], one["left_at"]) == ("A-1", "form 7", None)
    assert two["source"].startswith("entered by uid:")
    assert three["left_at"] is not None
    shown = run("list", "lighthouse")[1].splitlines()
    assert shown[0].startswith("A-1 ")
    assert ", left 20" in shown[2]
    assert "2 members, 1 have left" in run("list")[1]


def test_drill_bad_input_changes_nothing(run: Run) -> None:
    run("create", "lighthouse")
    for words, says in (
        (("create", "lighthouse"), "There is a roster lighthouse already."),
        (("create", 'light"house'), "A roster's name must not"),
        (("add", "nobody", "A-1"), "There is no roster nobody. `alerting drill roster create"),
        (("add", "lighthouse", "A-1", "X-9"), "The register has no citizen X-9."),
        (("list", "nobody"), "There is no roster nobody."),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert says in err
    assert said(run, "list", "lighthouse")["members"] == []


def test_doctor_says_groups_are_no_rosters(run: Run, database_url: str) -> None:
    async def drills() -> str | Note:
        db = Database(database_url)
        async with db.begin() as connection:
            found = await ours.drills(connection)
        await db.close()
        return found

    said = asyncio.run(drills())
    assert isinstance(said, Note)
    assert "groups of the register take no part in drills" in said.found
    run("create", "lighthouse")
    assert asyncio.run(drills()) == "1 rosters"


def test_doctor_notes_drills_from_the_alert_number() -> None:
    settings = Settings(
        carriers="real", twilio_account_sid="AC1", twilio_auth_token="t",
        twilio_from="+447700900001", twilio2_account_sid="AC2", twilio2_auth_token="t",
        twilio2_from_drill="+447700900002",
    )  # fmt: skip
    looks = services.looks(settings, None, None)
    (noted,) = [name for name in looks if name.endswith("for drills")]
    assert noted == "sms.1 for drills"
    assert isinstance(asyncio.run(looks[noted]()), Note)
