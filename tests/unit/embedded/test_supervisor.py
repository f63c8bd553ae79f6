from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alerting.embedded.supervisor import Spec, Supervisor


def python(code: str, *words: object) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *map(str, words))


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process's file raises no event here
            await asyncio.sleep(0.02)


async def test_dead_child_is_restarted(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(1)"
    starts = tmp_path / "starts"
    async with Supervisor([Spec("c", python(code, starts))], quiet=True):
        await eventually(lambda: starts.exists() and len(starts.read_text()) >= 2)


async def test_lines_are_prefixed_with_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    code = "print('hello', flush=True); import time; time.sleep(60)"
    seen = ""

    def said() -> bool:
        nonlocal seen
        seen += capsys.readouterr().err
        return "talker    | hello\n" in seen

    async with Supervisor([Spec("talker", python(code))]):
        await eventually(said)


async def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "def end(*_):\n open(sys.argv[1], 'a').write(sys.argv[2]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); open(sys.argv[1] + sys.argv[2], 'w'); signal.pause()"
    )
    ended = tmp_path / "ended"
    specs = [Spec(n, python(code, ended, n)) for n in "abc"]
    async with Supervisor(specs, quiet=True):
        await eventually(lambda: all(Path(f"{ended}{n}").exists() for n in "abc"))
    assert ended.read_text() == "cba"


async def test_unresponsive_child_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w'); time.sleep(600)"
    )
    up = tmp_path / "up"
    async with asyncio.timeout(60):
        async with Supervisor([Spec("deaf", python(code, up), stop_s=0.2)], quiet=True) as s:
            await eventually(up.exists)
            assert s.pid("deaf") is not None
        assert s.pid("deaf") is None
