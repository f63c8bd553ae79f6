"""`alerting …` as it is typed: in a folder of its own, with an environment of its own.

What ends by itself is run by the function that its process would run, for a start costs a second of
processor. What serves until it is stopped sets up its whole process, and so is given one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerting.cli import main
from alerting.settings import settings

_SERVES = {"up", "serve", "scheduler"}


@dataclass(frozen=True)
class Shell:
    """Returns the exit code, and what was printed on standard output and on standard error."""

    folder: Path
    env: dict[str, str]

    def __call__(self, *words: str, stdin: bytes = b"", **env: str) -> tuple[int, str, str]:
        wanted = {"ALERTING_VAR": str(self.folder / "var"), **self.env, **env}
        if words[0] in _SERVES:
            done = subprocess.run(
                [sys.executable, "-m", "alerting.cli", *words],
                input=stdin,
                capture_output=True,
                cwd=self.folder,
                env={**_without_ours(), **wanted},
                timeout=60,
                check=False,
            )
            return done.returncode, done.stdout.decode(), done.stderr.decode()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name in os.environ.keys() - _without_ours().keys():
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["alerting", *words])
            settings.cache_clear()
            with CliRunner().isolation(stdin) as (out, err, _), pytest.raises(SystemExit) as ended:
                main()
            settings.cache_clear()
        code = ended.value.code
        assert isinstance(code, int)
        return code, out.getvalue().decode(), err.getvalue().decode()


def _without_ours() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("ALERTING_")}
