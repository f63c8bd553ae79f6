"""`alerting alarms`, and what `alerting doctor` says of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from alerting.cli.doctor.examine import examine
from alerting.cli.operate import alarms as command
from alerting.errors import AlertingError
from alerting.settings import load_settings
from alerting.store.admin import stored_alarms
from alerting.store.db import Database

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def typed(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(command, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return typed


@pytest.fixture
def wrong(database_url: str) -> Callable[[], None]:
    async def open_two() -> None:
        db = Database(database_url)
        async with db.begin() as c:
            for _ in range(2):
                await stored_alarms.open_(
                    c, "provider-refuses-us", "sms.1", "sms.1 refuses us (20003)."
                )
            await stored_alarms.open_(c, "no-provider-left", "sms", "No provider of sms works.")
        await db.close()

    return lambda: asyncio.run(open_two())


def test_alarms_list_and_exit_codes(run: Run, wrong: Callable[[], None]) -> None:
    assert run() == (0, "Nothing is wrong.\n")
    assert run("--json") == (0, '{"alarms": []}\n')
    wrong()
    code, out = run()
    assert code == 1
    assert "provider-refuses-us sms.1 (2 times)\n       sms.1 refuses us (20003).\n" in out
    code, out = run("--json")
    found = json.loads(out)["alarms"]
    assert (code, {a["subject"] for a in found}) == (1, {"sms.1", "sms"})
    for alarm in found:
        code, out = run("close", str(alarm["id"]))
        assert (code, out) == (0, f"Closed: {alarm['kind']} {alarm['subject']}.\n")
    assert run() == (0, "Nothing is wrong.\n")
    code, out = run("close", "999999")
    assert code != 0
    assert "There is no alarm 999999." in out


def test_doctor_shows_alarms(run: Run, wrong: Callable[[], None]) -> None:
    def check() -> tuple[bool, str]:
        [found] = [c for c in asyncio.run(examine(load_settings())) if c.name == "alarms"]
        return found.good, found.found

    assert check() == (True, "none")
    wrong()
    good, detail = check()
    assert not good
    assert "provider-refuses-us" in detail
