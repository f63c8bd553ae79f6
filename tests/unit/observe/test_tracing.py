"""Spans: sent to a collector that listens, and refused in one sentence where nothing can send."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec

import pytest

from alerting.errors import BadInput
from alerting.observe.tracing import require, span, traced
from alerting.settings import Settings
from alerting.start import require_fit

INSTALLED = find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


@pytest.mark.skipif(INSTALLED, reason="the packages are here")
def test_a_collector_without_the_packages_is_refused() -> None:
    for refuse in (require, lambda url: require_fit(Settings(otlp_endpoint=url))):
        with pytest.raises(BadInput, match=r"Install alerting\[otel\]"):
            refuse("http://127.0.0.1:4318")


def test_without_a_collector_a_span_is_nothing() -> None:
    require("")
    with traced("", "alerting-test"), span("work", lane="extreme"):
        pass
    with pytest.raises(KeyError), span("work"):
        raise KeyError


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.skipif(not INSTALLED, reason="alerting[otel] is not installed")
def test_spans_arrive_with_their_attributes_and_no_message(
    collector: tuple[str, list[tuple[str, bytes]]],
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, got = collector
    with traced(url, "alerting-test"):
        with span("intake", bytes=3):
            pass
        with pytest.raises(KeyError), span("work", lane="extreme"):
            raise KeyError("+447700900123")
    assert {path for path, _ in got} == {"/v1/traces"}
    assert b"+447700900123" not in b"".join(body for _, body in got)
    spans = {}
    for _, body in got:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            assert names["service.name"] == "alerting-test"
            for scope in resource.scope_spans:
                for one in scope.spans:
                    spans[one.name] = {a.key for a in one.attributes}
    assert spans == {"intake": {"alerting.bytes"}, "work": {"alerting.lane", "error.type"}}
