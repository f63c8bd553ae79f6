"""A collector that takes OTLP over HTTP, as one of OpenTelemetry does, and keeps the spans."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from observing import OPENTELEMETRY, REQUIRED

needs_opentelemetry = pytest.mark.skipif(
    not OPENTELEMETRY and not REQUIRED,
    reason="alerting[otel] is not installed (make test-observe)",
)


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it arrived; `service` is its process's."""

    service: str
    name: str
    attributes: dict[str, str | int]
    took_ns: int


@dataclass
class Collector:
    """url: the base address for OTLP over HTTP. bodies: each request's, as it came."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Span]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        return [
            Span(
                {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"],
                one.name,
                {
                    a.key: a.value.int_value
                    if a.value.HasField("int_value")
                    else a.value.string_value
                    for a in one.attributes
                },
                one.end_time_unix_nano - one.start_time_unix_nano,
            )
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for one in scope.spans
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own while the block lasts. It refuses what is no OTLP."""
    collector = Collector()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            right = self.path == "/v1/traces"
            right &= self.headers["Content-Type"] == "application/x-protobuf"
            if right:
                collector.bodies.append(body)
            self.send_response(200 if right else 400)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
