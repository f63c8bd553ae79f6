"""A backup taken in the middle of an alert, restored after the machine was lost.

The carriers' own logs judge: whoever was told after the backup gets no second SMS, and nobody is
forgotten.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import aiohttp
import psycopg
import pytest
from click.testing import CliRunner

from alerting.bootstrap import Runtime, database_url
from alerting.cap import read, to_xml
from alerting.cli.maintenance_commands import reconcile
from alerting.cli.up import running
from alerting.demo.judge import Told, expected_audience
from alerting.demo.run import _received, _town, demo_settings
from alerting.dispatch.status import AlertStatus, status
from alerting.domain.alert import Alert
from alerting.domain.principal import internal
from alerting.domain.retime import sent_now
from alerting.embedded import engines, postgres
from alerting.embedded.carriers import CARRIERS, read_log
from alerting.errors import AlertingError
from alerting.settings import Settings
from alerting.settings import settings as read_settings
from alerting.store.admin import api_keys
from alerting.store.ledger import delivery_queries

EXAMPLE = (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    own = Settings(var=tmp_path, window=16, chunk_size=200, sweep_s=1, workers=1)
    return demo_settings(own)


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another machine's PostgreSQL."""
    with engines.start(tmp_path_factory.mktemp("b"), with_redis=False) as started:
        yield started.database_url


async def test_restore_sends_no_second_sms(
    config: Settings,
    elsewhere: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dump, mail_log = tmp_path / "alerting.dump", tmp_path / "mail.log"
    async with running(config, quiet=True):
        await slow_down(config)
        alert, expected, alert_id, key = await begin(config)
        await until_accepted(config, alert_id, 300)
        begun = datetime.now(UTC)
        await asyncio.to_thread(pg, "pg_dump", "-Fc", "-f", dump, "-d", database_url(config))
        in_dump = notified(config)
        await until_accepted(config, alert_id, in_dump.total() + 300)
    # The machine is lost, but for its dump; the providers remember.
    since = notified(config) - in_dump
    assert since.total() > 200
    await asyncio.to_thread(pg, "pg_restore", "--exit-on-error", "-d", elsewhere, dump)
    config = config.model_copy(update={"database_url": elsewhere})
    with psycopg.connect(elsewhere) as c, pytest.raises(psycopg.Error, match="alerting reconcile"):
        c.execute("update outbox set state = 'leased', fence = fence + 1 where state = 'ready'")
    write_mail_log(config, mail_log)
    before = notified(config)
    async with running(config, quiet=True):
        for name, value in config.to_environment().items():
            monkeypatch.setenv(name, value)
        read_settings.cache_clear()
        said = await asyncio.to_thread(
            reconciled, "--since", begun.isoformat(), "--mail-log", str(mail_log), "--no-stops"
        )
        assert f"continues: alert {alert_id}" in said
        found = await until_settled(config, alert_id)
        async with Runtime.open(config) as runtime, runtime.db.begin() as connection:
            rows = await delivery_queries.page(connection, alert_id, after=0, limit=100_000)
    received = notified(config)
    assert received.total() > before.total()
    assert set(received) == expected
    doubled = {where: n - 1 for where, n in received.items() if n > 1}
    assert {channel for channel, _ in doubled} <= {"push"}
    # What no provider can be asked about was sent once more, and says so.
    assert sum(doubled.values()) <= sum(r["possible_duplicate"] for r in rows)
    assert {r["state"] for r in rows} <= {"accepted", "delivered"}
    assert found.audience > 0
    assert alert.identifier == found.identifier
    assert key


def pg(name: str, *words: object) -> None:
    """One of PostgreSQL's own tools."""
    command = [str(postgres.binaries() / name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def reconciled(*words: str) -> str:
    done = CliRunner().invoke(reconcile, words, standalone_mode=False)
    if isinstance(done.exception, AlertingError):
        raise done.exception
    assert done.exception is None
    assert done.return_value == 0
    return done.stdout


async def slow_down(config: Settings) -> None:
    """Make every message take a while, so that there is a middle."""
    url = f"http://{config.local_host}:{config.sandbox_port}/sandbox/faults"
    slow = {"latency_ms": 60}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"sms": slow, "email": slow, "push": slow}) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def begin(config: Settings) -> tuple[Alert, set[Told], UUID, str]:
    """A directory of citizens, and an alert on its way to it by every channel."""
    async with Runtime.open(config) as runtime:
        alert = replace(sent_now(read(EXAMPLE).alerts[0], runtime.clock.now()), identifier="r-1")
        harness = await _town(runtime, alert, config, 3000, 5)
        async with runtime.db.begin() as connection:
            key = await api_keys.create(
                connection, "restore", ["submit", "read"], senders=("*",), by=internal("test")
            )
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cap+xml"}
    url = f"http://{config.local_host}:{config.port}/v1/alerts"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=to_xml(alert), headers=headers) as answer,
    ):
        assert answer.status == 202, await answer.text()
        alert_id = UUID((await answer.json())["id"])
    return alert, expected_audience(alert, harness, all_channels=False), alert_id, key


async def until_accepted(config: Settings, alert_id: UUID, count: int) -> None:
    async with Runtime.open(config) as runtime, asyncio.timeout(60):
        while True:
            async with runtime.db.begin() as connection:
                found = await status(connection, alert_id)
            if sum(c.accepted for c in found.channels.values()) >= count:
                return
            assert not found.settled
            await asyncio.sleep(0.05)


async def until_settled(config: Settings, alert_id: UUID) -> AlertStatus:
    async with Runtime.open(config) as runtime, asyncio.timeout(120):
        while True:
            async with runtime.db.begin() as connection:
                found = await status(connection, alert_id)
            if found.settled:
                return found
            await asyncio.sleep(0.1)


def notified(config: Settings) -> Counter[Told]:
    """What the carriers took so far, by address."""
    return Counter(_received(config, dict.fromkeys(CARRIERS, 0)))


def write_mail_log(config: Settings, path: Path) -> None:
    """The relay's log as Postfix would have written it of what it took."""
    lines = []
    for n, line in enumerate(read_log(config.var, "email")):
        queue = f"4F{n:08X}"
        sender = line["envelope_from"]
        lines += [
            f"Nov  1 06:00:00 mx postfix/qmgr[9]: {queue}: from=<{sender}>, size=9, nrcpt=1",
            f"Nov  1 06:00:00 mx postfix/smtp[9]: {queue}: to=<{line['to']}>, status=sent (ok)",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
