"""What `alerting cap new` writes can be submitted, and refers to what is live."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerting.cap import check, read, to_xml
from alerting.channels.text.content import gather
from alerting.cli import cli
from alerting.domain.alert import Alert, MsgType, ResponseType, Scope, Severity, Urgency
from alerting.errors import AlertingError

Run = Callable[..., tuple[int, str]]

FLOOD = (
    "cap", "new", "alert", "--sender", "control@example.org", "--sender-name", "Example Control",
    "--event", "Flood", "--headline", "Leave the waterfront now", "--urgency", "Immediate",
    "--severity", "Severe", "--certainty", "Observed", "--hours", "6", "--language", "en-GB",
    "--instruction", "Go uphill on foot.", "--area", "Port Example", "--circle", "54.5,2.5 5",
)  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str, operator: str) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def typed(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return typed


def written(run: Run, file: Path, *words: str) -> Alert:
    code, out = run(*words)
    assert code == 0, out
    file.write_text(out, encoding="utf-8")
    (alert,) = read(out.encode()).alerts
    assert not alert.repairs
    assert not check(alert, alert.sent).errors
    return alert


def submitted(run: Run, file: Path) -> str:
    code, out = run("submit", str(file), "--json")
    assert code == 0, out
    found: str = json.loads(out)["id"]
    return found


def test_new_alert_update_and_cancel(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    first = written(run, file, *FLOOD)
    assert (first.msg_type, first.severity) == (MsgType.ALERT, Severity.SEVERE)
    submitted(run, file)

    changed = "Go uphill by car."
    update = written(
        run, file, "cap", "new", "update", first.identifier, "--instruction", changed,
        "--severity", "Extreme",
    )  # fmt: skip
    assert update.references == (first.triple,)
    assert (update.infos[0].instruction, update.severity) == (changed, Severity.EXTREME)
    assert update.infos[0].expires == first.infos[0].expires
    submitted(run, file)

    longer = written(run, file, "cap", "new", "extension", update.identifier, "--hours", "9")
    assert longer.references[-1] == update.triple
    assert longer.infos[0].expires is not None
    assert first.infos[0].expires is not None
    assert longer.infos[0].expires > first.infos[0].expires
    assert longer.infos[0].instruction == changed
    code, out = run("submit", str(file), "--dry-run")
    assert code == 0
    assert "Dry run, nothing was changed. It would be sent, lane extreme." in out
    assert f"ends or replaces {update.identifier} of control@example.org" in out

    cancel = written(run, file, "cap", "new", "cancel", update.identifier)
    assert (cancel.msg_type, cancel.references[-1]) == (MsgType.CANCEL, update.triple)
    end = written(run, file, "cap", "new", "end", update.identifier)
    assert end.ends
    assert end.infos[0].urgency is Urgency.PAST
    assert end.infos[0].response_types == (ResponseType.ALL_CLEAR,)
    assert end.infos[0].instruction is None
    submitted(run, file)
    code, said = run("cap", "new", "update", update.identifier, "--severity", "Minor")
    assert code == 2
    assert "is live" in said
    assert json.loads(run("status", update.identifier, "--json")[1])["state"] == "superseded"


def test_missing_options_are_refused_at_once(run: Run) -> None:
    code, said = run("cap", "new", "alert", "--sender", "control@example.org", "--hours", "1")
    assert code == 2
    assert "A new alert needs --event, --headline, --urgency, --severity, --certainty" in said
    assert "--polygon, --circle or --geocode" in said
    code, said = run(*FLOOD[:-1], "54.5 2.5 5")
    assert code == 2
    assert "takes a centre and kilometres as 'lat,lon km'" in said
    assert run("cap", "new", "update")[0] == 2
    assert run("cap", "new", "cancel", "nobody-knows")[0] == 2


def test_update_must_change_an_existing_language(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    first = written(run, file, *FLOOD)
    submitted(run, file)
    update = ("cap", "new", "update", first.identifier)
    assert "would change nothing" in run(*update)[1]
    assert "Give --hours" in run("cap", "new", "extension", first.identifier)[1]
    assert "It has en-GB" in run(*update, "--headline", "x", "--language", "de")[1]


@pytest.mark.parametrize(
    ("kind", "words", "untaken"),
    [
        ("update", ("--polygon", "1,1 1,2 2,2 1,1", "--hours", "9"), "--polygon"),
        ("update", ("--event", "Fire", "--area", "Elsewhere", "--hours", "9"), "--event, --area"),
        ("extension", ("--hours", "9", "--certainty", "Likely"), "--certainty"),
        ("end", ("--severity", "Minor", "--status", "Exercise"), "--status, --severity"),
        ("cancel", ("--headline", "All is well", "--language", "de"), "--language, --headline"),
    ],
)
def test_unused_option_is_refused(
    run: Run, kind: str, words: tuple[str, ...], untaken: str
) -> None:
    code, said = run("cap", "new", kind, "any", *words)
    assert code == 2
    assert f"`cap new {kind}` does not take {untaken}." in said
    assert "in the file that it writes" in said


def test_extension_must_end_later(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    first = written(run, file, *FLOOD)
    submitted(run, file)
    present = first.infos[0].expires
    assert present is not None
    code, said = run("cap", "new", "extension", first.identifier, "--hours", "2")
    assert code == 2
    assert f"it is already in force until {present.isoformat()}" in said
    assert run("cap", "new", "update", first.identifier, "--hours", "2")[0] == 0


def test_actual_alert_for_a_group_is_private(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    group = written(run, file, *FLOOD, "--address", "night-shift")
    assert (group.scope, group.addresses) == (Scope.PRIVATE, ("night-shift",))
    assert "has scope" not in run("submit", str(file), "--dry-run")[1]
    assert written(run, file, *FLOOD).scope is Scope.PUBLIC


def test_cancel_text_is_what_people_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    first = written(run, file, *FLOOD)
    submitted(run, file)
    draft = written(run, file, "cap", "new", "cancel", first.identifier)
    info = replace(draft.infos[0], headline="Go home", description="The dam held.")
    (edited,) = read(to_xml(replace(draft, infos=(info,)))).alerts
    content = gather(edited, info_no=0, area_no=0, language="en", link="")
    assert (content.headline, content.description) == ("Go home", "The dam held.")
    assert content.over


def test_cancel_that_reaches_nobody_names_no_notice(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    first = written(run, file, *FLOOD)
    submitted(run, file)
    code, said = run("cancel", first.identifier)
    assert code == 0
    assert "so nobody is notified." in said
    assert "Their notice" not in said
    code, said = run("cancel", f"{first.identifier}-mistyped")
    assert code == 2
    assert "`alerting list` (GET /v1/alerts) shows them" in said


def test_dry_run_json_is_one_object(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    written(run, file, *FLOOD)
    code, out = run("submit", str(file), "--dry-run", "--json")
    found = json.loads(out)
    assert (code, found["dry_run"], found["state"]) == (0, True, "accepted")
    assert found["people"] == {"count": 0, "margin": 0}
    assert found["area_km2"] == pytest.approx(78.5, abs=0.1)
    assert "No registered citizen is in its areas: it reaches nobody." in found["notes"]
    assert "id" not in found
    code, out = run("status", read(file.read_bytes()).alerts[0].identifier)
    assert code == 2
