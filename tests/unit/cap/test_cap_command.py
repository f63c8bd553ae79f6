"""`alerting cap check` as a person and as a program sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cap_documents import DATA, flood
from click.testing import CliRunner, Result

from alerting.cli import cli

GOOD = str(DATA / "flood.xml")


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, ["cap", "check", *arguments], input=stdin, standalone_mode=False)


def code(result: Result) -> int:
    assert result.exception is None
    assert isinstance(result.return_value, int)
    return result.return_value


@pytest.fixture
def ended(tmp_path: Path) -> str:
    path = tmp_path / "ended.xml"
    changes = ("2026-11-01T18:00", "2026-11-01T08:00"), (">Met<", ">met<"), (">Update<", ">Alert<")
    path.write_bytes(flood(*changes))
    return str(path)


def test_check_of_good_file() -> None:
    result = run(GOOD)
    assert code(result) == 0
    assert result.stdout.splitlines() == [
        f"{GOOD}: cap, 1 alert",
        "  ford-2026-11-01-1 (Actual Update from control@example.org)",
        "    info[1] en-GB: source yes, hazard yes, place yes, guidance yes, time yes; "
        "SMS GSM-7, 2 segments",
        "    warning   info[1]/expires: It was over at 2026-11-01T18:00:00+01:00. An alert "
        "that is over is sent to nobody: correct expires, or move its times to now.",
    ]


def test_check_separates_repairs_from_findings(ended: str) -> None:
    result = run(ended)
    assert code(result) == 1
    assert "    repaired  info[1]/category[1]: 'met' read as Met\n" in result.stdout
    assert (
        "    error     info[1]/expires: It had ended when it was sent. "
        "An expired alert is never sent on.\n"
    ) in result.stdout


def test_check_continues_after_unreadable_file(ended: str) -> None:
    result = run("/nowhere/x.xml", "-", GOOD, ended, stdin=b"hello")
    assert code(result) == 2
    assert "/nowhere/x.xml: It cannot be opened: No such file or directory." in result.stderr
    assert "-: The document is neither XML nor a JSON object." in result.stderr
    assert f"{GOOD}: cap, 1 alert" in result.stdout
    assert f"{ended}: cap, 1 alert" in result.stdout


def test_check_refuses_folder(tmp_path: Path) -> None:
    result = run(str(tmp_path))
    assert code(result) == 2
    assert "It cannot be opened: Is a directory." in result.stderr


def test_check_reads_standard_input() -> None:
    result = run("-", stdin=flood())
    assert code(result) == 0
    assert result.stdout.startswith("-: cap, 1 alert\n")


def test_check_limits_size_by_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTING_MAX_ALERT_BYTES", "1000")
    result = run(GOOD)
    assert code(result) == 2
    assert "at most 1,000 are read" in result.stderr


def test_check_json_is_one_object(ended: str) -> None:
    result = run("--json", GOOD, ended, "/nowhere/x.xml")
    assert code(result) == 2
    body = json.loads(result.stdout)
    good, bad, missing = body["files"]
    assert body["exit"] == 2
    size = good["alerts"][0]["info"][0]["sms"]
    assert (size["encoding"], size["count"]) == ("GSM-7", 2)
    assert good["alerts"][0]["info"][0]["guidance"] == "instruction"
    assert bad["alerts"][0]["repairs"][0]["what"] == "'met' read as Met"
    assert bad["alerts"][0]["findings"][0]["level"] == "error"
    assert missing == {
        "file": "/nowhere/x.xml",
        "readable": False,
        "error": "It cannot be opened: No such file or directory.",
    }


def test_check_without_file_is_bad_usage() -> None:
    result = CliRunner().invoke(cli, ["cap", "check"])
    assert result.exit_code == 2
    assert "Missing argument 'FILE…'" in result.stderr
