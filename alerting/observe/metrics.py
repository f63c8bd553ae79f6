"""What Prometheus reads, as docs/metrics.md lists it. Every label has few values: never a citizen,
an address, a key, a text or an alert."""

from __future__ import annotations

import platform
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from alerting.observe.tally import Tally, Timings

# When a counter was made is told by its process's start; as series they would double them.
disable_created_metrics()  # type: ignore[no-untyped-call]

BUILD = Gauge("alerting_build_info", "1, with what runs in its labels", ["version", "python"])
BUILD.labels(version("alerting"), platform.python_version()).set(1)

# ── the API ───────────────────────────────────────────────────────────────────────────────────
REQUESTS = Counter(
    "alerting_http_requests_total", "Requests answered", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "alerting_http_request_seconds", "Time to answer a request", ["method", "route"]
)
BAD_SIGNATURES = Counter(
    "alerting_webhook_bad_signatures_total", "Callbacks refused for their signature"
)
REFUSED = Counter(
    "alerting_http_refused_total",
    "Requests without a valid key (401) or without the right (403)",
    ["status"],
)

# ── workers ───────────────────────────────────────────────────────────────────────────────────
WORK_SECONDS = Histogram(
    "alerting_work_seconds",
    "Time a claimed plan or chunk was worked on",
    ["lane", "kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
WORK_FAILED = Counter(
    "alerting_work_failed_total", "Plans and chunks that were given back or set aside", ["result"]
)
DELIVERIES = Counter(
    "alerting_deliveries_total",
    "Deliveries by what became of them in their chunk",
    ["channel", "outcome"],
)
PROVIDER_CALLS = Tally("alerting_provider_calls", "Calls to providers", ("provider", "outcome"))
PROVIDER_SECONDS = Timings(
    "alerting_provider_call_seconds",
    "Time a provider took to answer",
    ("provider",),
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BREAKER = Gauge(
    "alerting_breaker_state", "0 closed, 1 half-open, 2 open, in this process", ["provider"]
)
RATE_LIMIT_SECONDS = Timings(
    "alerting_rate_limit_wait_seconds",
    "Time a message waited for its turn by the configured rate",
    ("channel", "lane"),
    (0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)
BUDGET_ANSWERS = Counter(
    "alerting_budget_answers_total",
    "Interruptions asked of citizens' budgets: admitted, refused by a window, or unavailable",
    ["severity", "answer"],
)

# ── maintenance, in workers and the scheduler ───────────────────────────────────────────────
DUTY_SECONDS = Histogram(
    "alerting_duty_seconds",
    "Time one transaction of a duty took",
    ["duty"],
    buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 60, 600),
)
DUTY_FAILED = Counter("alerting_duty_failed_total", "Transactions of a duty that failed", ["duty"])
DUTY_SUCCESS = Gauge(
    "alerting_duty_last_success_timestamp_seconds", "When a duty last succeeded here", ["duty"]
)

# ── every process ─────────────────────────────────────────────────────────────────────────────
DATABASE_CONNECTIONS = Gauge(
    "alerting_database_connections", "Connections of this process's pool", ["state"]
)
DATABASE_POOL = Gauge("alerting_database_pool_size", "The most connections this pool may have")


class Pool(Protocol):
    """What is asked of a pool of connections."""

    def checkedin(self) -> int: ...

    def checkedout(self) -> int: ...

    def size(self) -> int: ...


def watch_pool(pool: Callable[[], Pool]) -> None:
    """Show this pool from now on; of several of a process the last."""
    DATABASE_CONNECTIONS.labels("in_use").set_function(lambda: pool().checkedout())
    DATABASE_CONNECTIONS.labels("idle").set_function(lambda: pool().checkedin())
    DATABASE_POOL.set_function(lambda: pool().size())


def count_deliveries(channel: str, outcomes: Iterable[str]) -> None:
    """Count deliveries of one channel by what became of them."""
    for outcome, count in Counts(outcomes).items():
        DELIVERIES.labels(channel, outcome).inc(count)


class Watch:
    """One run of a duty."""

    def __init__(self) -> None:
        self.succeeded = False

    def done(self) -> None:
        """It did its work; without this it was not this process's turn."""
        self.succeeded = True


@contextmanager
def duty(name: str) -> Iterator[Watch]:
    """Measure one run of a duty: its failure, or how long it took once it is `done`."""
    watch, begun_s = Watch(), time.perf_counter()
    try:
        yield watch
    except Exception:
        DUTY_FAILED.labels(name).inc()
        raise
    if watch.succeeded:
        DUTY_SECONDS.labels(name).observe(time.perf_counter() - begun_s)
        DUTY_SUCCESS.labels(name).set_to_current_time()
