"""Spans: sent to a collector that listens, and refused in one sentence where nothing can send."""

from __future__ import annotations

import pytest
from observing import OPENTELEMETRY
from otlp_collector import collecting, needs_opentelemetry

from alerting.errors import BadInput
from alerting.observe.tracing import require, span, traced
from alerting.settings import Settings
from alerting.start import require_fit


@pytest.mark.skipif(OPENTELEMETRY, reason="the packages are here")
def test_collector_without_packages_is_refused() -> None:
    for refuse in (require, lambda url: require_fit(Settings(otlp_endpoint=url))):
        with pytest.raises(BadInput, match=r"Install alerting\[otel\]"):
            refuse("http://127.0.0.1:4318")


def test_span_without_collector_is_a_no_op() -> None:
    require("")
    with traced("", "alerting-test"), span("work", lane="extreme"):
        pass
    with pytest.raises(KeyError), span("work"):
        raise KeyError


@needs_opentelemetry
def test_spans_have_attributes_and_no_message() -> None:
    with collecting() as collector:
        with traced(collector.url, "alerting-test"):
            with span("intake", bytes=3):
                pass
            with pytest.raises(KeyError), span("work", lane="extreme"):
                raise KeyError("+447700900123")
        assert b"+447700900123" not in b"".join(collector.bodies)
        spans = collector.spans()
    assert {one.service for one in spans} == {"alerting-test"}
    assert {one.name: one.attributes for one in spans} == {
        "intake": {"alerting.bytes": 3},
        "work": {"alerting.lane": "extreme", "error.type": "KeyError"},
    }
