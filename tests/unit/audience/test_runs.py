"""Hits in runs: nobody lost, in order over long stretches, the first at once, memory bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerting.audience.gather import Hits
from alerting.audience.runs import in_runs

PARTS = st.lists(st.integers(1, 30), max_size=30)


def _hits(ids: list[int]) -> Hits:
    numbers = np.array(sorted(ids), np.int64)
    return Hits(numbers, numbers % 7 + 1, (numbers % 5).astype(np.int16))


class Walk:
    """A directory walked by place: parts of these sizes, people in an order of their own."""

    def __init__(self, sizes: list[int], seed: int) -> None:
        self.people = np.random.default_rng(seed).permutation(sum(sizes)).tolist()
        self._sizes = sizes
        self.met = 0
        self.closed = False

    async def parts(self) -> AsyncGenerator[Hits]:
        try:
            for size in self._sizes:
                ids = self.people[self.met : self.met + size]
                self.met += size
                yield _hits(ids)
        finally:
            self.closed = True


def _taken(walk: Walk, *, batch: int, longest: int) -> list[tuple[list[int], int]]:
    """What comes out, each time with how many had been met by then."""

    async def take() -> list[tuple[list[int], int]]:
        taken = []
        async for hits in in_runs(walk.parts(), batch=batch, longest=longest):
            ids = hits.citizen_ids
            assert hits.zones.tolist() == (ids % 7 + 1).tolist()
            assert hits.places.tolist() == (ids % 5).tolist()
            taken.append((ids.tolist(), walk.met))
        return taken

    return asyncio.run(take())


@given(sizes=PARTS, seed=st.integers(0, 99), batch=st.integers(1, 20), longest=st.integers(1, 90))
def test_runs_yield_everybody_once_in_bounded_batches(
    sizes: list[int], seed: int, batch: int, longest: int
) -> None:
    walk = Walk(sizes, seed)
    taken = [ids for ids, _ in _taken(walk, batch=batch, longest=longest)]
    assert sorted(i for ids in taken for i in ids) == list(range(sum(sizes)))
    assert all(0 < len(ids) <= batch and ids == sorted(ids) for ids in taken)
    assert walk.closed


@given(sizes=PARTS, seed=st.integers(0, 99), batch=st.integers(1, 20), longest=st.integers(1, 90))
def test_runs_hold_two_runs_in_memory(
    sizes: list[int], seed: int, batch: int, longest: int
) -> None:
    out = 0
    for ids, met in _taken(Walk(sizes, seed), batch=batch, longest=longest):
        assert met - out <= 2 * (longest - 1 + max(sizes))
        out += len(ids)


def test_runs_yield_first_part_before_searching_more() -> None:
    ids, met = _taken(Walk([5] * 9, seed=1), batch=10, longest=100)[0]
    assert (len(ids), met) == (5, 5)


def test_runs_grow_to_the_longest() -> None:
    walk = Walk([4] * 1000, seed=2)
    taken = [ids for ids, _ in _taken(walk, batch=2, longest=512)]
    falls = [n for n, (a, b) in enumerate(pairwise(taken)) if b[0] < a[-1]]
    # Within a run each batch goes on where the last one ended.
    longest = max(b - a for a, b in pairwise(falls)) * 2
    assert longest >= 512
    assert len(falls) <= 16


def test_runs_closed_early_leave_nothing_open() -> None:
    walk = Walk([5] * 9, seed=3)

    async def stop() -> None:
        runs = in_runs(walk.parts(), batch=2, longest=100)
        await anext(runs)
        await runs.aclose()

    asyncio.run(stop())
    assert walk.closed
