"""`alerting reconcile` reads the files it is given before it opens anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from alerting.cli import cli
from alerting.errors import BadInput
from alerting.settings import settings

SINCE = ("--since", "2026-11-01T06:00:00Z")


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (("--stops", "FILE"), None, "cannot be read"),
        (("--stops", "FILE"), "not ours\n", "line 1 is not a line of a stop list"),
        (("--no-stops", "--mail-log", "FILE"), None, "cannot be read"),
    ],
)
def test_wrong_file_is_named_before_any_engine_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    text: str | None,
    said: str,
) -> None:
    # Nothing listens there.
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    settings.cache_clear()
    file = tmp_path / "given"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    typed = ["reconcile", *SINCE, *(str(file) if w == "FILE" else w for w in words)]
    done = CliRunner().invoke(cli, typed, standalone_mode=False)
    settings.cache_clear()
    assert isinstance(done.exception, BadInput), done.exception
    assert said in str(done.exception)
    assert str(file) in str(done.exception)
