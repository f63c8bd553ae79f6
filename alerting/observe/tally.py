"""Counters and histograms for what happens to every message.

They cost a tenth of prometheus_client's own, which take a lock each time. One event loop counts;
the thread that answers Prometheus reads, and may see a count without the one beside it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally(Collector):
    """A counter. name: without `_total`, as prometheus_client wants it."""

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._counts: dict[tuple[str, ...], int] = {}
        REGISTRY.register(self)

    def add(self, *labels: str, count: int = 1) -> None:
        self._counts[labels] = self._counts.get(labels, 0) + count

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for labels, count in list(self._counts.items()):
            family.add_metric(labels, count)
        yield family


class Timings(Collector):
    """A histogram of seconds. bounds: the upper ends of its buckets but the last."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._name, self._about, self._labels, self._bounds = name, about, labels, bounds
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        REGISTRY.register(self)

    def add(self, seconds: float, *labels: str) -> None:
        counts = self._counts.get(labels)
        if counts is None:
            self._sums[labels] = 0.0
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
        counts[bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        ends = [*map(str, self._bounds), "+Inf"]
        for labels, counts in list(self._counts.items()):
            up_to = accumulate(list(counts))
            family.add_metric(labels, list(zip(ends, up_to, strict=True)), self._sums[labels])
        yield family
