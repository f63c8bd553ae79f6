"""How much chance is given: enough to find a common fault in every run, and more at night.

`make test-long` sets ALERTING_TESTS=long.
"""

from __future__ import annotations

import os

import pytest

LONG = os.environ.get("ALERTING_TESTS") == "long"


def size(usual: int, long: int, variable: str = "") -> int:
    """How many of a thing this run tries. variable: names an environment variable that says it."""
    return int(os.environ.get(variable) or (long if LONG else usual))


#: For what another test proves at a smaller size, or what takes many processes.
only_long = pytest.mark.skipif(not LONG, reason="takes long: make test-long")
