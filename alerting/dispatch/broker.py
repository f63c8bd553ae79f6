"""Celery as a doorbell: it says that work waits, and may be wrong or silent.

PostgreSQL holds the work itself, so a lost ring costs the sweeper's next round and a doubled one
costs a claim that finds nothing. One queue per lane; Celery's priorities stay unused because
its Redis transport orders by priority before queue.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError, OperationalError

from alerting.domain.lane import Lane
from alerting.observe.logs import logger

log = logger(__name__)

TASK = "alerting.work"

#: How long a broker that did not answer is left alone: a plan of a thousand chunks must not wait
#: for a dead one a thousand times.
_SILENT_S = 5.0


def make_app(broker_url: str) -> Celery:
    """The Celery app of this system: four lane queues, late acks, no results, no ETA."""
    app = Celery("alerting", broker=broker_url)
    app.conf.update(
        task_queues=[Queue(lane.value, Exchange(lane.value), lane.value) for lane in Lane],
        task_default_queue=Lane.ROUTINE.value,
        task_create_missing_queues=False,
        task_acks_late=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=True,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=20,
        broker_connection_retry_on_startup=True,
        broker_pool_limit=4,
        # A publish must fail quickly when the broker is gone: the work is safe in PostgreSQL.
        broker_transport_options=_transport_options(broker_url),
    )
    return app


def _transport_options(broker_url: str) -> dict[str, object]:
    if not broker_url.startswith(("redis", "rediss", "valkey")):
        return {}
    return {
        "visibility_timeout": 300,
        "socket_timeout": 10,
        "socket_connect_timeout": 2,
        "health_check_interval": 5,
    }


class Doorbell:
    """Rings a lane's queue. Never raises and never blocks the loop: a failed ring is logged."""

    def __init__(self, broker_url: str) -> None:
        self._app = make_app(broker_url)
        # Without these kombu tries a dead broker for ever inside one publish.
        self._app.conf.broker_transport_options |= {
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.1,
        }
        self._silent_until = 0.0
        # One thread keeps kombu's blocking publish off the loop and in order.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="doorbell")

    async def ring(self, lane: Lane, outbox_ids: list[int]) -> bool:
        """Say that these outbox rows wait; False when the broker did not take it."""
        if not outbox_ids:
            return True
        if time.monotonic() < self._silent_until:
            return False
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._ring, lane, outbox_ids)

    def _ring(self, lane: Lane, outbox_ids: list[int]) -> bool:
        try:
            with (
                self._app.connection_for_write() as connection,
                self._app.amqp.Producer(connection) as producer,
            ):
                for outbox_id in outbox_ids:
                    self._app.send_task(
                        TASK, args=[outbox_id], queue=lane.value, producer=producer, retry=False
                    )
        except (OperationalError, KombuError, OSError) as e:
            log.warning("doorbell.silent", lane=lane.value, error=type(e).__name__)
            self._silent_until = time.monotonic() + _SILENT_S
            return False
        return True

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._app.close()
