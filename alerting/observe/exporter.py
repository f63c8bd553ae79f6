"""A port at which Prometheus reads what one process counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

# What is counted registers itself where it is loaded.
from alerting.observe import metrics as metrics
from alerting.observe.logs import logger

log = logger(__name__)


@contextmanager
def exported(host: str, port: int, *, child: int = 0) -> Iterator[None]:
    """Answer Prometheus at `port` + `child` while the block lasts; at none where `port` is 0.

    A port that cannot be used is logged and stops nothing: alerts go out without metrics.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port + child, addr=host)
    except OSError as e:
        log.warning("metrics.not_served", host=host, port=port + child, error=e.strerror)
        yield
        return
    log.info("metrics.served", host=host, port=port + child)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
