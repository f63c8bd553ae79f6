from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alerting.cli.policy_commands import policy
from alerting.errors import AlertingError
from alerting.throttle.policy.parse import default_policy, default_toml, parse_policy

#: Types `alerting policy …`: the exit code, what it printed, and what went wrong.
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, operator: str) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    return bare_run


def bare_run(*words: str, stdin: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(policy, words, input=stdin, standalone_mode=False)
    if isinstance(done.exception, AlertingError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.stdout, done.stderr


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def said(run: Run, *words: str) -> Any:
    code, out, _ = run(*words, "--json")
    assert code == 0
    return json.loads(out)


def test_check_needs_no_database_and_reports_every_error(file: Callable[[str], str]) -> None:
    assert bare_run("check", file("[quiet]\n")) == (0, "mine.toml is good.\n", "")
    old = file('[storm]\npreauthorised = ["dwd@example.org"]\n')
    assert "note: line 2: storm.preauthorised names" in bare_run("check", old)[1]
    bad = file("[budget]\nspacing = 1\n[quiet]\nto = 7\n")
    code, out, err = bare_run("check", bad)
    assert (code, out) == (2, "")
    assert "mine.toml, line 2: there is no key budget.spacing. Did you mean" in err
    assert "mine.toml, line 4: quiet.to is 7; it takes a time of day" in err
    code, out, _ = bare_run("check", bad, "--json")
    document = json.loads(out)
    assert (code, document["good"]) == (2, False)
    assert [(p["line"], p["key"]) for p in document["problems"]] == [
        (2, "budget.spacing"), (4, "quiet.to"),
    ]  # fmt: skip


def test_check_reads_stdin_and_other_files(tmp_path: Path) -> None:
    assert bare_run("check", "-", stdin="[quiet]")[0] == 0
    path = tmp_path / "x.toml"
    path.write_bytes(b'\xef\xbb\xbf[quiet]\r\nto = "06:00"\r\n')
    assert bare_run("check", str(path))[0] == 0
    path.write_bytes(b"\xff")
    assert bare_run("check", str(path))[2].endswith("is not UTF-8. Save it as UTF-8.")
    code, _, err = bare_run("check", str(tmp_path / "none.toml"))
    assert code == 2
    assert "none.toml cannot be read: No such file or directory." in err


def test_show_output_can_be_set_again(run: Run, file: Callable[[str], str]) -> None:
    code, out, _ = run("show")
    assert code == 0
    assert out.startswith("# version 0: the default")
    assert parse_policy(out) == default_policy()
    assert said(run, "set", file(out))["version"] >= 1
    assert parse_policy(run("show")[1]) == default_policy()


def test_set_history_and_rollback(run: Run, file: Callable[[str], str]) -> None:
    first = said(run, "set", file("[budget]\nspacing_s = 60\n"), "--note", "Louder")["version"]
    code, out, _ = run("set", file("[budget]\nspacing_s = 120\n"))
    assert (code, out) == (0, f"Version {first + 1} is live.\n")
    shown = said(run, "show")
    assert (shown["version"], shown["policy"]["budget"]["spacing_s"]) == (first + 1, 120)
    assert shown["policy"]["quiet"]["from"] == "22:00"
    code, out, _ = run("rollback", str(first))
    assert (code, out) == (0, f"Version {first + 2} is live; it is {first} again.\n")
    assert said(run, "show")["policy"]["budget"]["spacing_s"] == 60
    versions = said(run, "history")["versions"]
    assert [(v["version"], v["state"]) for v in versions] == [
        (first + 2, "live"), (first + 1, "past"), (first, "past"),
    ]  # fmt: skip
    assert versions[-1]["note"] == "Louder"
    assert versions[0]["changed_by"] == "person:operator"
    assert "Louder" in run("history")[1]
    assert run("rollback", "99")[0] == 2
    said(run, "rollback", "0")
    assert said(run, "show")["toml"] == default_toml()


def test_set_refuses_policy_with_error(run: Run, file: Callable[[str], str]) -> None:
    for words in (("set",), ("shadow",)):
        code, _, err = run(*words, file("[quiet]\nto = 7\n"))
        assert code == 2
        assert "line 2: quiet.to" in err
    assert said(run, "history") == {"versions": []}


def test_shadow_starts_reports_and_stops(run: Run, file: Callable[[str], str]) -> None:
    code, _, err = run("report")
    assert code == 2
    assert "No policy has run in shadow." in err
    version = said(run, "shadow", file("[budget]\nspacing_s = 60\n"))["version"]
    assert said(run, "show")["shadow"]["version"] == version
    assert said(run, "report") == {
        "version": version, "deliveries": 0, "different": 0, "rows": [],
    }  # fmt: skip
    assert run("report")[1] == f"Version {version} would decide 0 of 0 differently.\n"
    assert run("shadow", "--off")[1] == "The shadow is stopped.\n"
    assert said(run, "shadow", "--off") == {"stopped": False}
    assert run("shadow")[0] == run("shadow", "--off", file(""))[0] == 2
