"""Prometheus and OpenTelemetry, where they are here: `make observe-deps` fetches them."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

#: As they are unpacked where Debian's package is not installed.
_UNPACKED = Path(__file__).parents[2] / "build" / "prometheus" / "usr" / "bin"

OPENTELEMETRY = (
    find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None
)

#: Nothing may be skipped, as `make test-observe` says.
REQUIRED = bool(os.environ.get("OBSERVE"))


def found(program: str) -> str | None:
    """The path of one of Prometheus's programs."""
    return shutil.which(program) or shutil.which(str(_UNPACKED / program))


def missing(program: str) -> bool:
    """True if tests that need this program are skipped."""
    return found(program) is None and not REQUIRED
