"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

from alerting.errors import Unavailable


def until(
    condition: Callable[[], bool], *, timeout_s: float, what: str, period_s: float = 0.02
) -> None:
    """Return when `condition` holds.

    Raises:
        Unavailable: Naming `what` after `timeout_s`.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(f"Waited {timeout_s:g} s without success for {what}.")
        time.sleep(period_s)
