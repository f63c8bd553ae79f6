"""What a Celery worker sets up at its broker: the lanes' queues and nothing besides."""

from __future__ import annotations

from typing import ClassVar

from celery.worker.consumer import Consumer


class LaneConsumer(Consumer):  # type: ignore[misc]  # Celery carries no types
    """Celery's consumer without the twenty-eight queues it makes on RabbitMQ for delayed tasks.

    No task of ours is delayed by the broker: what waits for a time waits in PostgreSQL.
    """

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        default_steps: ClassVar[list[str]] = [
            step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in step
        ]
