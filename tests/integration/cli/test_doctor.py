"""`alerting doctor` asks what it judges: engines, workers, carriers, the way in."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from aiohttp import web
from click.testing import CliRunner

from alerting.cli import cli
from alerting.cli.doctor import services as looked_at
from alerting.cli.doctor.check import Check, Note, look
from alerting.cli.doctor.examine import examine
from alerting.embedded.carriers import read_log
from alerting.embedded.carriers.server import serving
from alerting.errors import AlertingError, BadInput
from alerting.settings import Settings, settings
from alerting.start import require_fit
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import Database
from alerting.store.work.presence import DUTIES, SCHEDULER, Presence

Found = dict[str, Check]


async def found(config: Settings) -> Found:
    return {c.name: c for c in await examine(config)}


@pytest.fixture
async def carriers(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[Settings]:
    """Settings of a system on the sandbox, whose carriers serve."""
    var = tmp_path / "var"
    async with serving(Settings(var=var, sandbox_port=0, sandbox_smtp_port=0)) as where:
        yield Settings(
            var=var,
            database_url=database_url,
            redis_url=redis_url,
            carriers="sandbox",
            sandbox_port=urlsplit(where.http_url).port or 0,
            sandbox_smtp_port=where.smtp_port,
        )


def real(config: Settings, **changes: object) -> Settings:
    """The same carriers, called as real ones are."""
    sandbox = {
        "carriers": "real",
        "twilio_base_url": f"http://127.0.0.1:{config.sandbox_port}",
        "twilio_account_sid": "AC" + "0" * 32,
        "twilio_from": "+447700900000",
        "smtp_host": "127.0.0.1",
        "smtp_port": config.sandbox_smtp_port,
        "smtp_tls": "none",
    }
    return config.model_copy(update=sandbox | changes)


async def test_doctor_passes_with_all_workers_and_scheduler(
    carriers: Settings,
) -> None:
    seen = await found(carriers)
    assert not seen["workers"].good
    assert "No worker for extreme, severe, routine, drill and no scheduler" in seen["workers"].found
    assert seen["sms.1"].good
    assert seen["email.1"].good
    grave = Presence(carriers.database_url, ["extreme", "severe"])
    async with grave.shown():
        seen = await found(carriers)
        assert "No worker for routine, drill and no scheduler" in seen["workers"].found
        assert "-Q routine,drill" in seen["workers"].remedy
        async with (
            Presence(carriers.database_url, ["routine", "drill"]).shown(),
            Presence(carriers.database_url, [SCHEDULER]).shown(),
        ):
            seen = await found(carriers)
            assert [c for c in seen.values() if not c.good] == []
            assert f"extreme 1 on {socket.gethostname()}" in seen["workers"].found
    assert not (await found(carriers))["workers"].good
    for channel in ("sms", "email"):
        assert list(read_log(carriers.var, channel)) == [], "nothing was sent"


async def test_doctor_names_missing_carriers(carriers: Settings) -> None:
    seen = await found(carriers.model_copy(update={"sandbox_port": 9, "sandbox_smtp_port": 9}))
    assert "does not answer" in seen["sms.1"].found
    assert "cannot be reached" in seen["email.1"].found
    assert not seen["sms.1"].good
    assert not seen["email.1"].good


async def test_doctor_names_unset_settings_of_real_carriers(carriers: Settings) -> None:
    seen = await found(real(carriers))
    assert "has no token" in seen["sms.1"].found
    assert not seen["mail addresses"].good
    assert "ALERTING_MAIL_FROM and ALERTING_MAIL_BOUNCE_DOMAIN" in seen["mail addresses"].remedy
    assert seen["push"].word == "note"
    ours = {"mail_from": "alerts@agency.example", "mail_bounce_domain": "bounce.agency.example"}
    seen = await found(real(carriers, **ours, push_contact="someone"))
    assert seen["mail addresses"].good
    assert "must begin with mailto: or https://" in seen["push"].found


async def test_doctor_calls_the_public_address(
    carriers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await found(real(carriers)))["public address"].word == "note"
    monkeypatch.setattr("alerting.cli.doctor.services.on_loopback", lambda _host: False)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.path == "/healthz" else 404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        seen = await found(real(carriers, public_url=url))
        assert seen["public address"].found == f"{url} answers"
        seen = await found(real(carriers, public_url=f"{url}/elsewhere"))
        assert "/elsewhere/healthz answers 404" in seen["public address"].found
    finally:
        await runner.cleanup()
    seen = await found(real(carriers, public_url=url))
    assert seen["public address"].word == "note"


async def test_doctor_reports_one_cause_once(carriers: Settings) -> None:
    gone = {"database_url": "postgresql://x@127.0.0.1:9/x", "redis_url": "redis://127.0.0.1:9"}
    seen = await found(carriers.model_copy(update=gone))
    wrong = [c.name for c in seen.values() if not c.good]
    assert wrong == ["database", "redis"]
    assert {"keys", "backup", "workers", "broker"} & set(seen) == set()


async def test_doctor_reports_missing_schema(carriers: Settings, empty_database_url: str) -> None:
    seen = await found(carriers.model_copy(update={"database_url": empty_database_url}))
    assert seen["database"].found == "The database has no schema yet."
    assert seen["database"].remedy == "Run `alerting migrate`."
    assert "alarms" not in seen


async def test_doctor_gives_up_on_hanging_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.cli.doctor.check.LIMIT_S", 0.05)

    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    check = await look("relay", never())
    assert (check.good, check.found) == (False, "no answer within 0.05 s")


class Server:
    """Says that it is an old Redis or Valkey, and nothing else."""

    def __init__(self, **info: str) -> None:
        self._info = info

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.strip().upper() == b"INFO":
                text = "".join(f"{k}:{v}\r\n" for k, v in self._info.items()).encode()
                writer.write(b"$%d\r\n%b\r\n" % (len(text), text))
            elif line.strip().upper() == b"CONFIG":
                writer.write(b"*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n")
            elif line.strip().upper() in {b"CLIENT", b"HELLO"}:
                writer.write(b"-ERR unknown\r\n")
        writer.close()


@pytest.mark.parametrize(
    ("info", "old"),
    [
        ({"redis_version": "6.2.14"}, True),
        ({"redis_version": "7.4.6"}, False),
        ({"redis_version": "7.0.15"}, True),
        ({"redis_version": "8.4.0"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.5"}, True),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, False),
    ],
)
async def test_doctor_warns_of_old_engines(info: dict[str, str], old: bool) -> None:
    server = await asyncio.start_server(Server(**info), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        said = await looked_at.redis_server(f"redis://127.0.0.1:{port}?protocol=2")
    assert isinstance(said, Note) is old, said


def test_start_is_refused_with_unusable_carriers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://alerting@db.example.org/alerting")
    with pytest.raises(BadInput, match=r"ALERTING_CARRIERS is not set.*=sandbox to try"):
        require_fit(Settings())
    require_fit(Settings(carriers="sandbox"))
    require_fit(Settings(carriers="real", public_url="https://alerts.example.org"))
    for url in ("", "http://alerts.example.org"):
        with pytest.raises(BadInput, match="must be an https address"):
            require_fit(Settings(carriers="real", public_url=url))
    with pytest.raises(BadInput, match="must be an https address"):
        require_fit(Settings(carriers="real", smtp_host="relay.example.org"))
    require_fit(Settings(carriers="real", smtp_host="127.0.0.1"))
    monkeypatch.delenv("DATABASE_URL")
    require_fit(Settings())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, carriers: Settings) -> Callable[..., tuple[int, str]]:
    for name, value in carriers.to_environment().items():
        monkeypatch.setenv(name, value)

    def type_in(*words: str) -> tuple[int, str]:
        settings.cache_clear()
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        assert done.exception is None, done.exception
        return int(done.return_value or 0), done.stdout

    return type_in


async def test_doctor_sends_one_marked_test(
    run: Callable[..., tuple[int, str]], carriers: Settings
) -> None:
    code, said = await asyncio.to_thread(run, "doctor", "--send-test", "+44 7700 900123")
    assert (code, said.startswith("sms.1 took it, as SM")) == (0, True), said
    code, said = await asyncio.to_thread(run, "doctor", "--send-test", "ann@example.org", "--json")
    assert code == 0
    assert json.loads(said)["said"].startswith("email.1 took it")
    [sms] = read_log(carriers.var, "sms")
    [mail] = read_log(carriers.var, "email")
    assert sms["to"] == "+447700900123"
    assert mail["to"] == "ann@example.org"
    for taken in (sms, mail):
        assert "TEST" in str(taken["body"])
        assert "nothing to do" in str(taken["body"])
    with psycopg.connect(carriers.database_url) as connection:
        audited = connection.execute("select action, subject, detail from audit").fetchall()
        deliveries = connection.execute("select count(*) from delivery").fetchone()
    assert audited == [("doctor.send-test", "sms.1", {}), ("doctor.send-test", "email.1", {})]
    assert deliveries == (0,)


async def test_doctor_sends_no_test_after_stop(
    run: Callable[..., tuple[int, str]], carriers: Settings
) -> None:
    db = Database(carriers.database_url)
    said_stop = [Endpoint("sms", "+447700900123"), Endpoint("email", "Ann@example.org")]
    async with db.begin() as connection:
        await suppressions.stop(connection, said_stop, Source.REPLY, actor="citizen")
    await db.close()
    for address in ("+44 7700 900123", "ann@example.org"):
        code, said = await asyncio.to_thread(run, "doctor", "--send-test", address)
        assert (code, "is not written to. Its owner answered STOP, on 20" in said) == (2, True), (
            said
        )
    for channel in ("sms", "email"):
        assert list(read_log(carriers.var, channel)) == []
    with psycopg.connect(carriers.database_url) as connection:
        audited = connection.execute("select action from audit order by id").fetchall()
    assert ("doctor.send-test",) not in audited


async def test_doctor_reports_test_refused_by_provider(
    run: Callable[..., tuple[int, str]], carriers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("somebody", "+44", "@example.org"):
        code, said = await asyncio.to_thread(run, "doctor", "--send-test", wrong)
        assert (code, f"{wrong} is n" in said) == (2, True), said
    monkeypatch.setenv("ALERTING_SANDBOX_PORT", "9")
    code, said = await asyncio.to_thread(run, "doctor", "--send-test", "+447700900123")
    assert code == 1
    assert "sms.1 did not take it (connect)" in said
    assert list(read_log(carriers.var, "sms")) == []


async def test_container_checks_its_own_duties(
    run: Callable[..., tuple[int, str]], carriers: Settings
) -> None:
    code, said = await asyncio.to_thread(run, "alive", "extreme", "severe")
    assert code == 1
    assert said == f"Nothing on {socket.gethostname()} serves extreme, severe."
    async with Presence(carriers.database_url, ["extreme", "severe"]).shown():
        code, said = await asyncio.to_thread(run, "alive", "extreme", "severe")
        assert code == 0
        code, said = await asyncio.to_thread(run, "alive", "extreme", "drill", SCHEDULER)
        assert said == f"Nothing on {socket.gethostname()} serves drill, scheduler."
    assert DUTIES == ("scheduler", "extreme", "severe", "routine", "drill")
