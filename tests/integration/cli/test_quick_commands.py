"""What is asked again and again, or in an emergency, loads no more than it needs.

Judged by the modules a command has loaded when it ends, which a busy machine does not change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Each costs a noticeable part of a second of processor.
SENDS = {"twilio", "aiohttp", "http_ece", "aiosmtplib", "aiosmtpd", "phonenumbers", "babel"}
SERVES = {"fastapi", "uvicorn", "matplotlib", "PIL", "alembic", "prometheus_client"}
COMPUTES = {"shapely", "numpy", "h3", "lxml", "celery", "kombu", "redis", "cryptography"}
ASKS = {"sqlalchemy", "psycopg", "pydantic", "rich"}


def loaded(database_url: str, folder: Path, *words: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the packages it had loaded by its end."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ALERTING_")}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "alerting.cli", *words],
        env=env | {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:9"},
        input=b"",
        capture_output=True,
        cwd=folder,
        check=False,
    )
    names = re.findall(rb"^import time:.*\| +(\S+)$", done.stderr, re.M)
    return done.returncode, {name.decode().partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status", "nothing"), 2),
        (("alarms",), 0),
        (("alive", "extreme"), 1),
        (("bounces", "pipe", "somebody@example.org"), 67),
    ],
    ids=lambda v: v[0] if isinstance(v, tuple) else "",
)
def test_queries_load_no_sending_packages(
    database_url: str, tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    found, packages = loaded(database_url, tmp_path, *words)
    assert found == code
    assert "sqlalchemy" in packages
    assert packages & (SENDS | SERVES | COMPUTES) == set()


@pytest.mark.usefixtures("operator")
def test_cancel_loads_no_sending_packages(database_url: str, tmp_path: Path) -> None:
    found, packages = loaded(database_url, tmp_path, "cancel", "nothing")
    assert found == 2
    assert packages & (SENDS | SERVES) == set()


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("sumbit",)])
def test_help_loads_no_packages(tmp_path: Path, words: tuple[str, ...]) -> None:
    _, packages = loaded("", tmp_path, *words)
    assert packages & (SENDS | SERVES | COMPUTES | ASKS) == set()
