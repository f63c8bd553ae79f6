from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from alerting.cli.throttling import silence
from alerting.errors import AlertingError

Run = Callable[..., tuple[int, str, str]]
WHY = ("--comment", "The dam is being tested.")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, operator: str) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)

    def typed(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(silence, words, standalone_mode=False)
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


def test_silence_add_list_and_end(run: Run) -> None:
    made = said(
        run, "add", "event=River Flood", "geocode:UGC!~X.*", "--for", "2h", *WHY,
        "--circle", "50,8 10", "--geocode", "UGC=XXC001",
    )  # fmt: skip
    assert made["matchers"][1] == {"field": "geocode:UGC", "op": "!~", "value": "X.*"}
    assert made["area"] == {
        "circle": ["50,8 10"], "geocode": [{"valueName": "UGC", "value": "XXC001"}],
    }  # fmt: skip
    lasts = datetime.fromisoformat(made["ends_at"]) - datetime.fromisoformat(made["starts_at"])
    assert lasts == timedelta(hours=2)
    assert said(run, "list") == {"silences": [made]}
    code, out, _ = run("list")
    assert code == 0
    assert out.startswith(f"{made['id'][:8]}  until 20")
    assert "event=River Flood geocode:UGC!~X.* (in an area)  The dam" in out
    code, out, _ = run("end", made["id"][:8])
    assert (code, out) == (0, f"{made['id']} has ended.\n")
    assert said(run, "list") == {"silences": []}
    [ended] = said(run, "list", "--all")["silences"]
    assert ended["ended_by"] == "person:operator"
    assert "ended 20" in run("list", "--all")[1]
    code, _, err = run("end", made["id"])
    assert code == 2
    assert err.startswith(f"There is no silence {made['id']}")


def test_silence_accepts_times(run: Run) -> None:
    start = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    end = start + timedelta(days=7)
    made = said(
        run, "add", "event=Flood", *WHY, "--from", start.isoformat(), "--until", end.isoformat()
    )
    assert datetime.fromisoformat(made["starts_at"]) == start
    assert datetime.fromisoformat(made["ends_at"]) == end
    assert "from 20" in run("list")[1]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("event=Flood", *WHY), "A silence needs its end. Give --for or --until."),
        (("event=Flood", "--for", "8d", *WHY), "lasts at most 7 days"),
        (("event=Flood", "--for", "2 hours", *WHY), "is not a duration"),
        (("event=Flood", "--until", "2026-11-01T18:00:00", *WHY), "no time with its offset"),
        (("event=Flood", "--until", "2020-11-01T18:00:00Z", *WHY), "must end after it starts"),
        (("event=Flood", "--for", "2h", "--comment", " "), "needs a comment"),
        (("event!=Flood", "--for", "2h", *WHY), "would mute every alert"),
        (("severity=Extreme", "--for", "2h", *WHY), "Extreme alerts are never silenced"),
        (("evnt=Flood", "--for", "2h", *WHY), "Did you mean event?"),
        (("event~(a+)+", "--for", "2h", *WHY), "repeats a group"),
        (("event=Flood", "--for", "2h", "--circle", "here", *WHY), "takes a centre"),
        (("event=Flood", "--for", "2h", "--geocode", "UGC", *WHY), "Write NAME=VALUE"),
    ],
)
def test_silence_bad_input_changes_nothing(run: Run, words: tuple[str, ...], fault: str) -> None:
    code, out, err = run("add", *words)
    assert (code, out) == (2, "")
    assert fault in err
    assert said(run, "list", "--all") == {"silences": []}
