"""RabbitMQ as the broker: quorum queues, one a lane; killed or emptied it costs seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import rabbit
from amqp.exceptions import NotFound, PreconditionFailed
from kombu import Queue

from alerting.dispatch.broker import WorkNotifier, make_app, on_rabbitmq
from alerting.domain.lane import Lane

pytestmark = pytest.mark.skipif(
    rabbit.server() is None, reason="there is no RabbitMQ here: make rabbit-deps"
)


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rabbit.Node]:
    with rabbit.node(tmp_path_factory.mktemp("rabbit")) as found:
        yield found


@pytest.fixture
def node(shared_node: rabbit.Node) -> rabbit.Node:
    """Without any queue."""
    with shared_node.connection() as connection:
        for lane in Lane:
            connection.default_channel.queue_delete(lane.value)
    return shared_node


@pytest.fixture
def notifier(node: rabbit.Node) -> Iterator[WorkNotifier]:
    notifier = WorkNotifier(node.url)
    yield notifier
    notifier.close()


def waiting(node: rabbit.Node, lane: Lane) -> list[int]:
    """The outbox ids that wait in a lane, taken out of it."""
    found = []
    with node.connection() as connection:
        channel = connection.default_channel
        while True:
            message = channel.basic_get(lane.value, no_ack=True)
            if message is None:
                return found
            found.append(channel.message_to_python(message).payload[0][0])


async def notified(notifier: WorkNotifier, lane: Lane) -> bool:
    return await asyncio.wrap_future(notifier.notify(lane))


async def test_notification_goes_to_its_own_lane_only(
    node: rabbit.Node, notifier: WorkNotifier
) -> None:
    assert await notified(notifier, Lane.SEVERE)
    assert await notified(notifier, Lane.SEVERE)
    assert await notified(notifier, Lane.DRILL)
    assert waiting(node, Lane.SEVERE) == ["severe", "severe"]
    assert waiting(node, Lane.DRILL) == ["drill"]
    with node.connection() as connection, pytest.raises(NotFound):
        connection.default_channel.queue_declare(Lane.EXTREME.value, passive=True)


async def test_lane_is_a_quorum_queue(node: rabbit.Node, notifier: WorkNotifier) -> None:
    await notified(notifier, Lane.EXTREME)
    with node.connection() as connection, pytest.raises(PreconditionFailed, match="x-queue-type"):
        Queue("extreme", durable=True)(connection.default_channel).declare()


async def test_notification_survives_broker_kill(node: rabbit.Node) -> None:
    with closing(WorkNotifier(node.url, silent_s=0)) as notifier:
        # A node notes up to a second later whom a new queue's only member voted for; killed before,
        # it waits for a leader for ever.
        count, end = 0, time.monotonic() + 2
        while time.monotonic() < end:
            assert await notified(notifier, Lane.ROUTINE)
            count += 1
        node.kill()
        node.start_again()
        # The same notifier goes on by a new connection, though its own has died, as soon as the
        # queue has a leader again. What got no answer may have been taken.
        async with asyncio.timeout(60):
            while not await notified(notifier, Lane.ROUTINE):
                pass
        assert len(waiting(node, Lane.ROUTINE)) >= count + 1


async def test_dead_broker_is_detected_soon_and_skipped(
    node: rabbit.Node, notifier: WorkNotifier
) -> None:
    assert await notified(notifier, Lane.ROUTINE)
    node.kill()
    try:
        start = time.monotonic()
        assert not await notified(notifier, Lane.ROUTINE)
        assert time.monotonic() - start < 5
        start = time.monotonic()
        assert not await notified(notifier, Lane.ROUTINE)
        assert time.monotonic() - start < 0.1
    finally:
        node.start_again()


@pytest.mark.parametrize(
    ("url", "is_"),
    [("amqp://h//", True), ("amqps://h/v", True), ("pyamqp://h//", True), ("redis://h/0", False)],
)
def test_only_rabbitmq_urls_get_quorum_queues(url: str, is_: bool) -> None:
    assert on_rabbitmq(url) is is_
    kinds = {
        (q.queue_arguments or {}).get("x-queue-type") for q in make_app(url).amqp.queues.values()
    }
    assert kinds == ({"quorum"} if is_ else {None})
