from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.settings import settings


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the command keeps its figures."""
    monkeypatch.setenv("ALERTING_VAR", str(tmp_path))
    settings.cache_clear()
    yield tmp_path / "bench"
    settings.cache_clear()
