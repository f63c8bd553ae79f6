"""The bar that long work shows on a terminal, and nowhere else."""

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
    """A bar on standard error, led by its task's description; none where that is no terminal.

    done: how far it has come; by default so many of how many.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        done or MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )
