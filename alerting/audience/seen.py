"""The lines of a register's keys, for files of any length.

Sixteen bytes a line: a dictionary of ten million keys would take a gigabyte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Seen:
    """Keys and their lines, in sorted runs each at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []

    def earlier(self, keys: Sequence[str]) -> dict[str, int]:
        """Which of these keys were noted before, with their line."""
        hashes = _hashes(keys)
        found: dict[str, int] = {}
        for run, lines in self._runs:
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            for i in np.flatnonzero(run[at] == hashes).tolist():
                found[keys[i]] = int(lines[at[i]])
        return found

    def note(self, keys: Sequence[str], lines: Sequence[int]) -> None:
        """Remember keys that were not noted before."""
        hashes, numbers = _hashes(keys), np.array(lines, np.int64)
        while self._runs and len(self._runs[-1][0]) < 2 * len(hashes):
            run, before = self._runs.pop()
            hashes, numbers = np.concatenate((run, hashes)), np.concatenate((before, numbers))
        order = np.argsort(hashes, kind="stable")
        if len(order):
            self._runs.append((hashes[order], numbers[order]))


def _hashes(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Two of ten million keys collide with a chance of three in a million."""
    digests = (hashlib.blake2b(k.encode(), digest_size=8).digest() for k in keys)
    return np.frombuffer(b"".join(digests), np.uint64)
