"""`submit --wait` exits with 1 unless citizens were told, and `list` shows what waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dispatch_harness import DispatchHarness, Recorder
from typed import Shell

from alerting.audience.importing import import_file
from alerting.cli import alert_output
from alerting.clock import SystemClock
from alerting.dispatch.broker import WorkNotifier
from alerting.settings import Settings
from alerting.store.db import Database
from alerting.store.work.presence import Presence

EXAMPLES = Path(__file__).parents[3] / "examples"
FLOOD = str(EXAMPLES / "flood.xml")


class Desk:
    """Types `alerting …` beside a worker that works, or beside none."""

    def __init__(self, shell: Shell, harness: DispatchHarness) -> None:
        self._shell = shell
        self._worker = harness.worker()

    async def __call__(self, *words: str, working: bool = True) -> tuple[int, str, str]:
        if not working:
            return await asyncio.to_thread(self._shell, *words)
        async with Presence(self._shell.env["DATABASE_URL"]).shown():
            typing = asyncio.create_task(asyncio.to_thread(self._shell, *words))
            while not typing.done():
                await self._worker.sweep()
                await asyncio.sleep(0.01)
        return await typing


@pytest.fixture
async def desk(
    tmp_path: Path,
    db: Database,
    database_url: str,
    redis_url: str,
    operator: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Desk]:
    await import_file(db, EXAMPLES / "citizens.csv", errors=tmp_path / "errors.csv")
    notifier = WorkNotifier(redis_url)
    harness = DispatchHarness(
        db,
        SystemClock(),  # type: ignore[arg-type]
        notifier,
        Settings(chunk_size=50, window=8, sweep_s=0.001),
        {name: Recorder(name) for name in ("sms", "email", "push")},
        [],
    )
    monkeypatch.setattr(alert_output, "PERIOD_S", 0.02)
    shell = Shell(tmp_path, {"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    yield Desk(shell, harness)
    await harness.close()
    notifier.close()


def moved(folder: Path, **words: tuple[str, str]) -> str:
    """The example with words replaced, as a file."""
    text = Path(FLOOD).read_text("utf-8")
    for old, new in words.values():
        assert old in text
        text = text.replace(old, new)
    file = folder / "alert.xml"
    file.write_text(text, "utf-8")
    return str(file)


RING = (
    "54.46,2.40 54.48,2.58 54.55,2.62 54.60,2.50 54.56,2.38 54.46,2.40",
    "1.40,1.46 1.58,1.48 1.62,1.55 1.50,1.60 1.38,1.56 1.40,1.46",
)


async def test_wait_reports_reached_citizens(desk: Desk) -> None:
    code, out, err = await desk("submit", "--now", "--wait", FLOOD)
    assert (code, err) == (0, "")
    assert out.startswith("Accepted: alert ")
    assert "Storm surge, Severe, sent 20" in out
    assert "Nobody is notified of it" not in out


async def test_wait_reports_nobody_reached(desk: Desk, tmp_path: Path) -> None:
    code, out, _ = await desk("submit", "--now", "--wait", moved(tmp_path, ring=RING))
    assert code == 1
    assert "Nobody is notified of it. Nobody is in its areas." in out
    code, out, _ = await desk("alarms", working=False)
    assert code == 1
    assert "reached nobody. Nobody is in its areas." in out


async def test_wait_reports_missing_worker(desk: Desk) -> None:
    code, out, err = await desk("submit", "--now", "--wait", FLOOD, working=False)
    assert code == 1
    assert out.startswith("Accepted: alert ")
    assert "No worker runs, so nobody is notified." in err
    code, out, err = await desk("submit", "--now", "--wait", "--json", FLOOD, working=False)
    assert code == 1
    assert json.loads(out)["status"]["state"] == "accepted"


async def test_wait_reports_earlier_cancel(desk: Desk) -> None:
    once = ("submit", "--now", "--wait", "--key", "once", FLOOD)
    assert (await desk(*once))[0] == 0
    assert (await desk("cancel", "example-flood-0001", working=False))[0] == 0
    code, out, _ = await desk(*once, working=False)
    assert code == 1
    assert out.startswith("Accepted before: alert ")
    assert "note: It was accepted before and has been cancelled (by " in out


async def test_list_shows_held_alerts(desk: Desk, tmp_path: Path) -> None:
    assert (await desk("list", working=False))[:2] == (0, "No alerts.\n")
    test = moved(tmp_path, event=("Storm surge: leave", "This is a test: leave"))
    code, out, _ = await desk("submit", "--now", "--wait", test, working=False)
    assert code == 1
    assert out.startswith("Held: alert ")
    code, out, _ = await desk("list", "--state", "held", "--at", "54.52,2.49", working=False)
    assert code == 0
    assert "held       Severe, Storm surge" in out
    assert "It has status Actual and says that it is a test" in out
    assert (await desk("list", "--state", "held", "--at", "0,0", working=False))[1] == (
        "No alerts.\n"
    )
    assert (await desk("list", "--since", "noon", working=False))[0] == 2
