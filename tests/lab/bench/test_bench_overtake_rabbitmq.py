"""The flight of the overtaking bench with RabbitMQ as the broker, emptied and killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import rabbit
from amqp.exceptions import NotFound

from alerting.domain.lane import Lane
from alerting.embedded.processes import GROUPS
from lab.bench.overtake.subject import Flight, fly

pytestmark = [
    pytest.mark.skipif(
        rabbit.server() is None, reason="there is no RabbitMQ here: make rabbit-deps"
    ),
    pytest.mark.skipif(
        not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
        reason="there is no nginx to stand in for the provider: make bench-deps",
    ),
]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[rabbit.Node]:
    with rabbit.node(tmp_path) as found:
        yield found


def test_overtake_with_rabbitmq_emptied_and_killed(
    node: rabbit.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A light alert and Extremes on top of it; whoever is missed or told twice fails the flight."""
    monkeypatch.setenv("BROKER_URL", node.url)
    monkeypatch.setenv("ALERTING_SWEEP_S", "1")
    struck: list[str] = []

    def strike(said: str) -> None:
        if "in flight" not in said:
            return
        with node.connection() as connection:
            channel = connection.default_channel
            consumers = {
                lane: channel.queue_declare(lane.value, passive=True).consumer_count
                for lane in Lane
            }
            assert set(consumers.values()) == {1}, "each lane has the one group that serves it"
            with pytest.raises(NotFound):
                channel.queue_declare("celery_delayed_0", passive=True)
        if not struck:
            struck.append("emptied")
            with node.connection() as connection:
                for lane in Lane:
                    connection.default_channel.queue_purge(lane.value)
        else:
            struck.append("killed")
            node.kill()

    try:
        flown = asyncio.run(fly(Flight(6_000, 100, 1, (200, 1_000), 0), GROUPS, strike))
    finally:
        if "killed" in struck:
            node.start_again()
    assert struck == ["emptied", "killed"]
    assert [len(p.taken_s) for p in flown.passages] == [100, 100, 100]
    assert flown.notices == flown.light > 0
