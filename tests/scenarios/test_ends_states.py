"""Drills touch nothing that is real, only its sender ends an alert, and every end is heard once.

Judged by what the carriers were handed, never by the code that sends. SCENARIO_PLAYS and
SCENARIO_SEED make the plays by chance more, or the same again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from by_chance import Days
from closing import PlayRunner
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from plays import OPEN
from plays_ends import OVER
from scene import Act
from sizes import size

PLAYS = size(4, 100, "SCENARIO_PLAYS")
#: The same plays in every run, so that a change is judged by what it does; `make scenarios`
#: draws others.
SEED = int(os.environ.get("SCENARIO_SEED", "12"))


@pytest.fixture(scope="module")
def runner(emptied: tuple[str, tuple[str, ...]]) -> Iterator[PlayRunner]:
    loop = asyncio.new_event_loop()
    yield PlayRunner(loop, *emptied)
    loop.close()


@pytest.mark.parametrize("play", [pytest.param(p, id=n) for n, p in OPEN.items()])
def test_play_that_failed_once(runner: PlayRunner, play: tuple[Act, ...]) -> None:
    runner.judge(play)


@pytest.mark.parametrize("play", [pytest.param(p, id=n) for n, p in OVER.items()])
def test_unheard_end_that_failed_once(runner: PlayRunner, play: tuple[Act, ...]) -> None:
    runner.judge(play, over=True)


@pytest.mark.timeout(3600)
def test_random_plays_break_no_rule(runner: PlayRunner) -> None:
    print(f"SCENARIO_SEED={SEED} SCENARIO_PLAYS={PLAYS}")
    Days.runner = runner
    run_state_machine_as_test(
        seed(SEED)(Days),
        settings=settings(
            max_examples=PLAYS,
            stateful_step_count=10,
            deadline=None,
            derandomize=False,
            database=None,
            # To make a play smaller costs minutes; its minutes can be read as they are.
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
