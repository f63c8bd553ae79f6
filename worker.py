"""Celery's entry point: `celery -A worker worker -Q extreme,severe`. The app and its one task."""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time
from typing import Any

from billiard.process import current_process  # type: ignore[import-untyped]
from celery import Celery, signals

from alerting.addresses import broker_url
from alerting.dispatch.broker import TASK, make_app
from alerting.dispatch.workers.loop import LoopThread
from alerting.dispatch.workers.work import Worker
from alerting.domain.lane import Lane
from alerting.errors import AlertingError
from alerting.garbage import freeze_startup_objects
from alerting.observe.logs import configure, logger
from alerting.settings import settings
from alerting.start import require_fit
from alerting.worker import open_worker

log = logger(__name__)


def _app() -> Celery:
    try:
        require_fit(settings())
        return make_app(broker_url(settings()))
    except AlertingError as e:
        sys.exit(f"worker: {e}")


app = _app()
_loops: dict[int, LoopThread[Worker]] = {}

_opening = threading.Lock()
_AGAIN_S = 0.5

#: Shared with the children: set once the worker is told to end, so that they leave their chunks
#: between two windows instead of working them off.
_ending = mmap.mmap(-1, 1)


def _loop() -> LoopThread[Worker]:
    """This process's loop, open as soon as PostgreSQL answers; a forked child opens its own."""
    with _opening:
        while True:
            try:
                return _opened()
            except AlertingError as e:
                if _ending[0]:
                    raise
                log.warning("worker.waits", error=e.detail)
                time.sleep(_AGAIN_S)


def _opened() -> LoopThread[Worker]:
    pid = os.getpid()
    if pid not in _loops:
        lanes = [Lane(name) for name in app.amqp.queues.consume_from if name in set(Lane)]
        _loops[pid] = LoopThread(
            lambda: open_worker(
                settings(),
                lanes,
                ending=lambda: _ending[0] != 0,
                # A pool numbers its children from 0; what takes the place of one has its number.
                child=getattr(current_process(), "index", 0),
            )
        )
    return _loops[pid]


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure(settings().log_level, settings().log_format)


@signals.worker_before_create_process.connect
def _keep_what_stays(**_: Any) -> None:
    """Before the fork, so that the child inherits it."""
    freeze_startup_objects()


@signals.worker_process_init.connect
def _open(**_: Any) -> None:
    """Work starts with the child, not with its first task.

    On a thread: a child that is not ready soon is killed, and PostgreSQL may be away for longer.
    """
    threading.Thread(target=_open_or_end, name="opening", daemon=True).start()


def _open_or_end() -> None:
    try:
        _loop()
    except Exception:
        # A child that never opens would take notifications and do nothing; Celery starts another.
        log.exception("worker.not_opened")
        os._exit(1)


@signals.worker_shutting_down.connect
def _end(**_: Any) -> None:
    _ending[0] = 1


@signals.worker_process_shutdown.connect
def _close(**_: Any) -> None:
    loop = _loops.pop(os.getpid(), None)
    if loop is not None:
        loop.close(settings().drain_s + 5)


@app.task(name=TASK, acks_late=True, ignore_result=True)
def work(lane: str) -> None:
    """Take a notification: this lane has work. Never fails; PostgreSQL holds the work itself."""
    _loop().call(lambda worker: worker.notify())
