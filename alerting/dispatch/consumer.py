"""The queues a Celery worker declares at its broker: the lanes and nothing else."""

from __future__ import annotations

from typing import ClassVar

from celery.worker.consumer import Consumer


class LaneConsumer(Consumer):  # type: ignore[misc]  # Celery carries no types
    """Celery's consumer without the 28 queues that it declares on RabbitMQ for delayed tasks.

    The broker delays no task of ours: what waits for a time waits in PostgreSQL.
    """

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        default_steps: ClassVar[list[str]] = [
            step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in step
        ]
