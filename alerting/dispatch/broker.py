"""Celery as a notification: it says that a lane has work, and may be wrong or silent.

PostgreSQL holds the work itself. A lost notification costs a worker's next poll, a doubled one a
claim that finds nothing. One queue per lane; Celery's priorities stay unused because its Redis
transport orders by priority before queue.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError, OperationalError
from kombu.messaging import Producer

from alerting.domain.lane import Lane
from alerting.observe.logs import logger
from alerting.settings import for_kombu

log = logger(__name__)

TASK = "alerting.work"

#: What kombu raises when the broker is unavailable or does not accept a message.
_GONE = (OperationalError, KombuError, OSError)

#: How long one publish may wait for an answer.
_PATIENCE_S = 0.5

#: How long a broker that did not answer is not tried again.
_SILENT_S = 5.0


def make_app(broker_url: str) -> Celery:
    """The Celery app of this system: four lane queues, late acks, no results, no ETA.

    On RabbitMQ the queues are quorum queues.
    """
    app = Celery("alerting", broker=for_kombu(broker_url))
    arguments = {"x-queue-type": "quorum"} if on_rabbitmq(broker_url) else None
    app.conf.update(
        # The default exchange needs no bindings, so nothing is lost when the broker is wiped.
        task_queues=[
            Queue(lane.value, Exchange(""), lane.value, queue_arguments=arguments) for lane in Lane
        ],
        task_default_queue=Lane.ROUTINE.value,
        task_create_missing_queues=False,
        task_acks_late=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_consumer="alerting.dispatch.consumer:LaneConsumer",
        worker_prefetch_multiplier=1,
        # Anybody who can reach the broker could stop workers by it, without any of our secrets.
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=20,
        broker_connection_retry_on_startup=True,
        # Its children poll while the broker is unavailable; they must not exit when it gives up.
        broker_connection_max_retries=None,
        broker_pool_limit=4,
        # RabbitMQ: a lost peer is noticed after two of these.
        broker_heartbeat=10,
        broker_transport_options=_transport_options(broker_url),
    )
    return app


def on_rabbitmq(broker_url: str) -> bool:
    """True where the broker speaks AMQP."""
    return broker_url.partition("://")[0] in {"amqp", "amqps", "pyamqp"}


def _transport_options(broker_url: str) -> dict[str, object]:
    if not broker_url.startswith(("redis", "unix")):
        return {}
    return {
        "visibility_timeout": 300,
        "socket_timeout": 10,
        "socket_connect_timeout": 2,
        "health_check_interval": 5,
    }


def _publish_options(broker_url: str) -> dict[str, object]:
    """A publish must fail quickly when the broker is unavailable: the work is safe in
    PostgreSQL."""
    if on_rabbitmq(broker_url):
        # Confirmed, because otherwise a dropped message looks published. A silent socket must not
        # block all publishing.
        return {"confirm_publish": True, "read_timeout": _PATIENCE_S, "write_timeout": _PATIENCE_S}
    # Without these kombu retries a dead broker for ever inside one publish, and waits ten seconds
    # for a suspended one.
    return {
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "socket_timeout": _PATIENCE_S,
        "socket_connect_timeout": _PATIENCE_S,
    }


class WorkNotifier:
    """Tells workers that a lane has work. Never raises and never waits for the broker.

    A thread publishes one message after the other. A message still to be published covers later
    ones for its lane. A failure is logged, and the broker is then not tried for a while: workers
    poll every second anyway.

    Keeps one connection. A connection that has died is noticed by the first publish, which is then
    repeated on a new one.

    silent_s: how long a broker that did not answer is not tried again.
    """

    def __init__(self, broker_url: str, *, silent_s: float = _SILENT_S) -> None:
        self._app = make_app(broker_url)
        self._app.conf.broker_transport_options |= _publish_options(broker_url)
        self._producer: Producer | None = None
        self._waiting: dict[Lane, Future[bool]] = {}
        self._lock = threading.Lock()
        self._silent_s, self._silent_until = silent_s, 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="notifier")

    def notify(self, lane: Lane) -> Future[bool]:
        """Announce work for this lane in the background. The result says whether the broker
        accepted it."""
        with self._lock:
            waiting = self._waiting.get(lane)
            if waiting is None:
                waiting = self._waiting[lane] = self._thread.submit(self._notify, lane)
            return waiting

    def _notify(self, lane: Lane) -> bool:
        # Before it is published: work written from now on needs a message of its own.
        with self._lock:
            del self._waiting[lane]
        if time.monotonic() < self._silent_until:
            return False
        kept, start = self._producer is not None, time.monotonic()
        try:
            try:
                self._publish(lane)
            except _GONE:
                self._hang_up()
                # A broker that is there but silent would be silent again.
                if not kept or time.monotonic() - start > _PATIENCE_S / 2:
                    raise
                self._publish(lane)
        except _GONE as e:
            self._hang_up()
            log.warning("notifier.broker_unreachable", lane=lane.value, error=type(e).__name__)
            self._silent_until = time.monotonic() + self._silent_s
            return False
        return True

    def _publish(self, lane: Lane) -> None:
        if self._producer is None:
            connection = self._app.connection_for_write()
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0.1)
            self._producer = self._app.amqp.Producer(connection)
        self._app.send_task(
            TASK,
            args=[lane.value],
            queue=lane.value,
            producer=self._producer,
            retry=False,
            confirm_timeout=_PATIENCE_S,
        )

    def _hang_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(*_GONE):
                producer.connection.collect(socket_timeout=_PATIENCE_S)

    def close(self) -> None:
        """Publish what is waiting, within a second, and disconnect."""
        self._thread.submit(self._hang_up)
        closing = threading.Thread(target=self._thread.shutdown, daemon=True)
        closing.start()
        closing.join(2 * _PATIENCE_S)
        self._app.close()
