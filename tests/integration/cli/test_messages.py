"""What a person reads when something is wrong, from the very command they typed."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from typed import Shell

from alerting.cli import COMMANDS, cli
from alerting.domain.principal import RIGHTS
from alerting.store.migrate import head

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def shell(tmp_path: Path, database_url: str, redis_url: str, operator: str) -> Shell:
    """As a person with every right."""
    return Shell(tmp_path, {"DATABASE_URL": database_url, "REDIS_URL": redis_url})


@pytest.fixture
def bare(tmp_path: Path) -> Shell:
    """Without any engine."""
    return Shell(tmp_path, {})


def test_missing_file(shell: Shell) -> None:
    code, out, err = shell("submit", "none.xml")
    assert (code, out) == (2, "")
    assert err == (
        "alerting: none.xml cannot be read: No such file or directory. "
        "Check the path and its rights.\n"
    )


def test_file_without_alert(shell: Shell) -> None:
    code, _, err = shell("submit", "-", stdin=b"<html><p>hello</p></html>")
    assert code == 2
    assert err.startswith("alerting: ")
    assert "Traceback" not in err


def test_external_entity(shell: Shell) -> None:
    evil = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><alert>&x;</alert>'
    code, _, err = shell("submit", "-", stdin=evil)
    assert code == 2
    assert "DOCTYPE" in err


def test_expired_alert_suggests_now(shell: Shell) -> None:
    old = (EXAMPLES / "flood.xml").read_bytes().replace(b"2026-11-01", b"2020-11-01")
    code, _, err = shell("submit", "-", stdin=old)
    assert code == 2
    assert "expired at 2020-11-01T14:00:00+01:00" in err
    assert "--now" in err


def test_missing_engines_say_how_to_start(bare: Shell) -> None:
    code, _, err = bare("status", "x")
    assert code == 1
    assert "No engines run on" in err
    assert "Start `alerting up` in another terminal, or set DATABASE_URL." in err


def test_database_without_answer(bare: Shell) -> None:
    url = "postgresql://someone:secret@127.0.0.1:9/none"
    code, _, err = bare("citizens", "stats", DATABASE_URL=url)
    assert code == 1
    assert "PostgreSQL does not answer at" in err
    assert "secret" not in err
    assert "alerting doctor" in err


def test_taken_port_is_named_before_start(bare: Shell) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = str(s.getsockname()[1])
        code, _, err = bare("up", ALERTING_PORT=port)
        assert code == 2
        assert f"Port {port} on 127.0.0.1 cannot be used: Address already in use." in err
        assert "set ALERTING_PORT to another port" in err
        code, _, err = bare(
            "serve",
            ALERTING_PORT=port,
            ALERTING_CARRIERS="sandbox",
            DATABASE_URL="x",
            REDIS_URL="x",
        )
        assert code == 2
        assert f"Port {port}" in err
    assert not (bare.folder / "var" / "postgres").exists()


def test_wrong_setting_is_named(bare: Shell) -> None:
    code, _, err = bare("status", "x", ALERTING_CHUNK_SIZE="many", ALERTING_CARRIERS="pigeons")
    assert code == 2
    assert "chunk_size" in err
    assert "carriers" in err
    assert ".env.example" in err


def test_unknown_command_and_unknown_alert(shell: Shell) -> None:
    assert shell("fly")[0] == 2
    code, _, err = shell("sumbit", "x.xml")
    assert (code, "No such command 'sumbit'. Did you mean 'submit'?" in err) == (2, True), err
    code, _, err = shell("status", "nothing-like-it")
    shown = "`alerting list` (GET /v1/alerts) shows them."
    assert (code, err) == (2, f"alerting: There is no alert nothing-like-it. {shown}\n")


def test_mistyped_severity_suggests_the_word(shell: Shell) -> None:
    mistyped = shell.folder / "mistyped.xml"
    text = (EXAMPLES / "flood.xml").read_text("utf-8")
    mistyped.write_text(text.replace(">Severe<", ">Sever<"), "utf-8")
    code, _, err = shell("submit", "--now", str(mistyped))
    assert code == 2
    assert "info[1]/severity: 'Sever' is not a CAP value. Did you mean Severe?" in err
    code, out, _ = shell("cap", "check", str(mistyped))
    assert code == 1
    assert "a submission of it is refused. Did you mean Severe?" in out


def test_json_output_of_each_command(shell: Shell) -> None:
    code, out, _ = shell("citizens", "import", str(EXAMPLES / "citizens.csv"), "--json")
    assert (code, json.loads(out)["added"]) == (0, 4)
    code, out, _ = shell("submit", "--now", "--tell-again", "--json", str(EXAMPLES / "flood.xml"))
    assert (code, json.loads(out)["lane"]) == (0, "severe")
    code, out, _ = shell("status", "example-flood-0001", "--json")
    assert (code, json.loads(out)["state"]) == (0, "accepted")
    code, out, _ = shell("why", "example-flood-0001", "A-1", "--json")
    assert "still being planned" in json.loads(out)["lines"][0]["sentence"]
    code, _, err = shell("why", "example-flood-0001", "Z-9")
    assert (code, err) == (2, "alerting: There is no citizen Z-9.\n")


def test_keys_are_shown_once_and_revoked(shell: Shell) -> None:
    code, out, err = shell("keys", "create", "centre", "--right", "read", "--expires", "90d")
    key = out.strip()
    assert (code, key[:3]) == (0, "ak_")
    assert "cannot be shown again" in err
    code, _, err = shell("keys", "create", "other")
    assert code == 2
    assert "It is not said for which senders other speaks. Give --sender PATTERN" in err
    code, _, err = shell("keys", "create", "centre", "--sender", "*@example.org")
    assert code == 2
    assert "A key named 'centre' exists." in err
    code, out, _ = shell("keys", "list")
    assert re.search(r"centre .* a machine .* until 20", out)
    assert key not in out
    code, out, err = shell("keys", "rotate", "centre", "--expires", "30d")
    assert (code, out.strip()[:3], out.strip() != key) == (0, "ak_", True)
    assert "cannot be shown again" in err
    assert shell("keys", "revoke", "centre")[0] == 0
    assert shell("keys", "rotate", "centre")[0] == 2
    assert shell("keys", "revoke", "centre")[0] == 2
    code, _, err = shell("keys", "create", "x", "--right", "fly")
    assert code == 2
    assert f"There is no right 'fly'. Use {', '.join(RIGHTS)}." in err


def test_import_names_broken_rows(shell: Shell) -> None:
    file = shell.folder / "register.csv"
    file.write_text("ref,sms\na,+447700900001\nb,12\n", encoding="utf-8")
    code, out, err = shell("citizens", "import", "register.csv")
    assert code == 1
    assert out == "2 lines: 1 added, 0 changed, 0 unchanged, 1 refused.\n"
    assert "register.errors.csv" in err
    assert "3,sms: this is no phone number" in (shell.folder / "register.errors.csv").read_text(
        encoding="utf-8"
    )


def test_overview_names_every_command(bare: Shell) -> None:
    code, out, _ = bare("--help")
    assert code == 0
    for name, (_, sentence) in COMMANDS.items():
        assert f"{name} " in out
        assert sentence.split()[0] in out
        assert cli.get_command(None, name) is not None  # type: ignore[arg-type]


def test_doctor_says_what_to_do(shell: Shell) -> None:
    code, out, _ = shell("doctor", "--json", ALERTING_CARRIERS="sandbox", ALERTING_SANDBOX_PORT="9")
    checks = {c["name"]: c for c in json.loads(out)["checks"]}
    assert code == 1
    assert f"schema {head()}" in checks["database"]["found"]
    assert "`alerting up` starts all" in checks["workers"]["remedy"]
    assert not checks["sms.1"]["good"]


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--now", str(EXAMPLES / "flood.xml")),
        ("serve",),
        ("scheduler",),
        ("status", "x"),
    ],
)
def test_database_without_migrations(
    bare: Shell, empty_database_url: str, words: tuple[str, ...]
) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    code, out, err = bare(
        *words,
        DATABASE_URL=empty_database_url,
        REDIS_URL="redis://127.0.0.1:9",
        ALERTING_CARRIERS="sandbox",
        ALERTING_PORT=port,
    )
    assert (code, out) == (1, "")
    assert err == "alerting: The database has no schema yet. Run `alerting migrate`.\n"


def test_migrate_creates_the_schema(bare: Shell, empty_database_url: str) -> None:
    code, out, _ = bare("migrate", DATABASE_URL=empty_database_url)
    assert (code, out) == (0, f"Schema: None → {head()}.\n")
    code, out, _ = bare("migrate", DATABASE_URL=empty_database_url)
    assert (code, out) == (0, f"The schema is at {head()} already.\n")
