"""Time-outs that a test lets run out, instead of waiting for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class _Ahead:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.by_s = 0.0

    def __call__(self) -> float:
        return self._clock() + self.by_s


def put_forward(seconds: float) -> None:
    """Put the running loop's clock forward: timers of up to so many seconds are due at once.

    Time-outs can be long then, so that a slow machine never meets one that the test does not mean.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop.time, _Ahead):
        loop.time = _Ahead(loop.time)  # type: ignore[method-assign]
    loop.time.by_s += seconds
