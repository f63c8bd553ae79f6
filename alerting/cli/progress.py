"""The progress bar of long commands, on terminals only."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


def progress(*, quiet: bool, done: ProgressColumn | None = None) -> Progress:
    """A bar on standard error, with its task's description; none without a terminal.

    Args:
        done: Formats the progress; by default `completed/total`.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        done or MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )
