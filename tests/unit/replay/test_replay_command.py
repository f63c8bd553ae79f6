"""The whole command on small folders: the live path's rules on a simulated clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from traces import HERE, THERE, an_alert, its_end

from alerting.cap import to_xml
from alerting.cli.replay import replay, storm
from alerting.domain.alert import Alert, Area, MsgType, Severity, Status
from alerting.errors import AlertingError

#: Nobody's hours are quiet, so that only what a test is about decides.
AWAKE = '[quiet]\nfrom = "00:00"\nto = "00:00"\n'


class Folder:
    """Alerts in a folder, and the command on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.alerts = path / "alerts"
        self.alerts.mkdir()
        self.policy = path / "policy.toml"
        self.policy.write_text(AWAKE)
        self.detail = path / "detail.jsonl"

    def play(self, *alerts: Alert, words: tuple[str, ...] = ()) -> dict[str, Any]:
        for no, alert in enumerate(alerts):
            (self.alerts / f"{no:03}.xml").write_bytes(to_xml(alert))
        code, out, _ = self.run("--json", *words)
        assert code == 0
        return json.loads(out)

    def run(self, *words: str) -> tuple[int, str, str]:
        args = [str(self.alerts), "--detail", str(self.detail), *words]
        if "--policy" not in words:
            args += ["--policy", str(self.policy)]
        done = CliRunner().invoke(replay, args, standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout, done.stderr

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.detail.read_text().splitlines()]

    @property
    def decisions(self) -> list[tuple[str, str, str]]:
        return [(x["identifier"], x["decision"], x["outcome"]) for x in self.lines]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


FIRST = an_alert("first", headline="Flood")


def test_danger_rewording_escalation_and_end(folder: Folder) -> None:
    more: dict[str, Any] = {"headline": "Flood", "description": "It has rained."}
    again = an_alert("again", at_s=600, to=(FIRST,), **more)
    same = an_alert("same", at_s=900, to=(FIRST, again), lasts_s=5000, **more)
    more_severe = an_alert(
        "graver", at_s=1200, to=(FIRST, again), severity=Severity.EXTREME, **more
    )
    end = its_end("end", at_s=3600, to=(FIRST, again, more_severe))
    found = folder.play(FIRST, again, same, more_severe, end)
    assert [(i, d) for i, d, _ in folder.decisions] == [
        ("first", "SEND"),
        ("again", "SILENT"),
        ("same", "SILENT"),
        ("graver", "SEND"),
        ("end", "SEND"),
    ]
    assert found["citizens"] == 1
    assert found["deliveries_without_throttle"] == 5
    assert (found["interruptions"], found["silent"], found["dropped"]) == (3, 2, 0)
    assert found["reduction"] == 0.4
    # It begins, grows longer twice and graver once, and ends.
    assert (found["state_changes"], found["state_changes_missed"]) == (5, 0)
    assert (found["unchanged"], found["unchanged_interrupting"]) == (1, 0)
    states = [(x["state_before"], x["state_after"]) for x in folder.lines]
    assert states[0] == ("none", "active Severe Immediate Shelter")
    assert states[-1] == ("active Extreme Immediate Shelter", "ended")
    assert len({x["thread"] for x in folder.lines}) == 1
    assert folder.lines[0]["area"] == "district=D1"


def test_update_that_grows_reaches_new_area(folder: Folder) -> None:
    both = (Area("one", geocodes=(HERE,)), Area("two", geocodes=(THERE,)))
    grown = an_alert("grown", at_s=600, to=(FIRST,), areas=both, headline="Flood")
    cancel = an_alert("cancel", at_s=1200, to=(grown,), kind=MsgType.CANCEL, areas=both)
    folder.play(FIRST, grown, cancel)
    decisions = {(x["identifier"], x["citizen"]): x["decision"] for x in folder.lines}
    assert decisions["grown", "district=D2"] == "SEND"
    assert decisions["grown", "district=D1"] != "SEND"
    assert decisions["cancel", "district=D1"] == decisions["cancel", "district=D2"] == "SEND"


def test_only_public_alerts_are_played(folder: Folder) -> None:
    drill = an_alert("drill", at_s=1, status=Status.EXERCISE)
    ack = an_alert("ack", at_s=2, kind=MsgType.ACK)
    found = folder.play(FIRST, drill, ack)
    assert (found["messages"], found["not_public"], found["not_sent"]) == (3, 1, 1)
    assert [i for i, _, _ in folder.decisions] == ["first"]


def test_quiet_night_ends_in_one_digest(folder: Folder) -> None:
    folder.policy.write_text('[quiet]\nfrom = "11:00"\nto = "13:00"\nslots = ["13:30"]\n')
    one = an_alert("one", severity=Severity.MINOR, event="Dust")
    two = an_alert("two", at_s=60, severity=Severity.MINOR, event="Roadworks", lasts_s=7000)
    gone = an_alert("gone", at_s=90, severity=Severity.MINOR, event="Fog", to=())
    update = an_alert("update", at_s=120, severity=Severity.MINOR, event="Fog", to=(gone,))
    found = folder.play(one, two, gone, update)
    outcomes = {i: (d, o) for i, d, o in folder.decisions}
    assert outcomes["one"] == ("DIGEST", "digested")
    assert outcomes["gone"] == ("DIGEST", "superseded")
    assert outcomes["update"] == ("DIGEST", "digested")
    assert (found["digests"], found["interruptions"]) == (1, 1)
    assert (found["state_changes_missed"], found["quiet_hour_violations"]) == (0, 0)


def test_extreme_interrupts_at_any_hour(folder: Folder) -> None:
    folder.policy.write_text('[quiet]\nfrom = "11:00"\nto = "13:00"\nslots = ["13:30"]\n')
    found = folder.play(an_alert("x", severity=Severity.EXTREME))
    assert folder.decisions == [("x", "SEND", "sent")]
    assert found["state_changes_missed"] == 0


def test_busy_hour_is_limited_by_the_budget(folder: Folder) -> None:
    alerts = [
        an_alert(str(n), at_s=n * 60, severity=Severity.MODERATE, event=event, sender=f"{n}@x")
        for n, event in enumerate(("Dust", "Roadworks", "Power cut", "Missing child", "Smoke"))
    ]
    found = folder.play(*alerts)
    decisions = [d for _, d, _ in folder.decisions]
    assert decisions[0] == "SEND"
    assert set(decisions[1:]) <= {"DEFER", "DIGEST"}
    assert all(x["outcome"] in {"sent", "digested"} for x in folder.lines)
    assert found["state_changes_missed"] == 0
    assert sum(found[k] for k in ("sent", "silent", "digested", "dropped")) == 5


def test_own_register_is_used(folder: Folder) -> None:
    register = folder.path / "c.csv"
    register.write_text("ref,time_zone,quiet,geocodes\nanna,Asia/Tokyo,20:00-23:00,district=D1\n")
    lesser = an_alert("lesser", severity=Severity.MODERATE, lasts_s=86_400)
    found = folder.play(lesser, words=("--citizens", str(register)))
    assert found["citizens"] == 1
    (line,) = folder.lines
    assert (line["citizen"], line["decision"]) == ("anna", "DIGEST")


def test_grouping_is_scored_where_truth_is_known(folder: Folder) -> None:
    truth = folder.path / "known.jsonl"
    again = an_alert("again", at_s=600, to=(FIRST,))
    other = an_alert("other", at_s=20 * 86_400)
    lines = [
        {"identifier": i, "incident": n} for i, n in (("first", 1), ("again", 1), ("other", 2))
    ]
    truth.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = folder.play(FIRST, again, other, words=("--truth", str(truth)))
    assert found["grouping"] == {"precision": 1.0, "recall": 1.0, "pairs": 1}
    assert folder.play(FIRST)["grouping"] is None


def test_three_populations_share_one_report(folder: Folder) -> None:
    (folder.alerts / "a.xml").write_bytes(to_xml(FIRST))
    args = [str(folder.alerts), "--channels", "push,sms,mixed"]
    done = CliRunner().invoke(replay, [*args, "--json"], standalone_mode=False)
    found = json.loads(done.stdout)["replays"]
    assert [(r["trace"], r["channels"]) for r in found] == [
        ("alerts", mix) for mix in ("push", "sms", "mixed")
    ]
    done = CliRunner().invoke(replay, [*args, "--each"], standalone_mode=False)
    head, _, *rows = done.stdout.splitlines()
    assert head.startswith("| trace | channels | messages |")
    assert [r.split(" | ")[1] for r in rows] == ["push", "sms", "mixed"]


def test_detail_needs_a_single_replay(folder: Folder) -> None:
    (folder.alerts / "a.xml").write_bytes(to_xml(FIRST))
    with pytest.raises(AlertingError, match="one replay"):
        folder.run("--channels", "push,sms")


def test_each_path_has_its_own_register(folder: Folder) -> None:
    target = folder.path / "storm"
    CliRunner().invoke(storm, [str(target), "--citizens", "10"], standalone_mode=False)
    done = CliRunner().invoke(replay, [str(target), "--each", "--json"], standalone_mode=False)
    (found,) = json.loads(done.stdout)["replays"]
    assert (found["trace"], found["citizens"]) == ("storm", 10)


def test_plain_output_has_tables_and_refusals(folder: Folder) -> None:
    (folder.alerts / "a.xml").write_bytes(to_xml(FIRST))
    (folder.alerts / "b.xml").write_bytes(b"<torn")
    picture = folder.path / "p.png"
    code, out, err = folder.run("--plot", str(picture))
    assert code == 0
    assert "1 messages for 1 citizens" in out
    assert "state changes missed" in out
    assert "1 could not be read" in err
    assert "b.xml" in err
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words",
    [
        ("--policy", "none.toml"),
        ("--citizens", "none.csv"),
        ("--truth", "none.jsonl"),
        ("--detail", "none/d.jsonl"),
        ("--plot", "none/p.png"),
        ("none",),
    ],
)
def test_missing_file_exits_2(folder: Folder, words: tuple[str, ...]) -> None:
    (folder.alerts / "a.xml").write_bytes(to_xml(FIRST))
    with pytest.raises(AlertingError) as caught:
        folder.run(*words)
    assert caught.value.exit_code == 2
    assert "none" in str(caught.value)


def test_bad_policy_names_its_line(folder: Folder) -> None:
    (folder.alerts / "a.xml").write_bytes(to_xml(FIRST))
    folder.policy.write_text("[quiet]\nfrom = 25\n")
    with pytest.raises(AlertingError, match="line 2"):
        folder.run()


def test_storm_is_written_and_played(folder: Folder) -> None:
    target = folder.path / "storm"
    done = CliRunner().invoke(
        storm, [str(target), "--seed", "5", "--citizens", "100"], standalone_mode=False
    )
    assert done.return_value == 0
    folder.alerts = target
    code, out, _ = folder.run("--json", "--citizens", str(target / "citizens.csv"))
    found = json.loads(out)
    assert code == 0
    assert found["messages"] == 40
    assert found["not_public"] == 1
