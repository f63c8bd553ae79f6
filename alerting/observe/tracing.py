"""Spans for an OpenTelemetry collector, of each intake and of each plan and chunk.

The packages that send them are the extra `alerting[otel]`. Nothing is imported, and a span costs
next to nothing, where no collector is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any

from alerting.errors import BadInput

_tracer: Any = None


def require(endpoint: str) -> None:
    """Raises BadInput where a collector is set and the packages are missing."""
    if endpoint:
        _sdk()


@contextmanager
def traced(endpoint: str, service: str) -> Iterator[None]:
    """Send the spans of this process to a collector while the block lasts, and then what is left.

    endpoint: the collector's base address for OTLP over HTTP; "" sends nothing. service: the name
    this process has there. Raises BadInput as `require`.
    """
    global _tracer
    if not endpoint:
        yield
        return
    resources, trace, export, otlp = _sdk()
    about = {"service.name": service, "service.version": version("alerting")}
    provider = trace.TracerProvider(resource=resources.Resource.create(about))
    exporter = otlp.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("alerting")
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """A span of what is done in the block. attributes: never an address, a text or a citizen."""
    if _tracer is None:
        yield
        return
    named = {f"alerting.{key}": value for key, value in attributes.items()}
    # The message of an error may hold what a span must not; its class says enough.
    with _tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as e:
            current.set_attribute("error.type", type(e).__name__)
            raise


def _sdk() -> tuple[Any, Any, Any, Any]:
    try:
        return (
            import_module("opentelemetry.sdk.resources"),
            import_module("opentelemetry.sdk.trace"),
            import_module("opentelemetry.sdk.trace.export"),
            import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter"),
        )
    except ImportError as e:
        raise BadInput(
            "ALERTING_OTLP_ENDPOINT is set, but the packages that send spans are not installed.",
            remedy="Install alerting[otel], or leave it unset.",
        ) from e
