"""Structured log lines on standard error, as text for people or JSON for machines."""

from __future__ import annotations

import io
import logging
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    import structlog

#: Keys whose values never reach a log line (invariant 14).
PRIVATE = frozenset(
    {"endpoint", "to", "address", "phone", "email", "token", "auth", "text", "body", "key"}
)


def hide_private(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Replace the value of every private key, so that a careless line leaks nothing."""
    return {k: "[hidden]" if k in PRIVATE else v for k, v in event.items()}


def one_line(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Write out control characters, so that no value begins a line of its own."""
    return {k: _printable(v) if isinstance(v, str) else v for k, v in event.items()}


def _printable(text: str) -> str:
    text = text.rstrip("\n")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _indented(out: TextIO, exc_info: Any) -> None:
    """A plain traceback; the pretty ones print local variables, addresses and texts among them."""
    import structlog

    lines = io.StringIO()
    structlog.dev.plain_traceback(lines, exc_info)
    # A message of several lines must not look like lines of the log.
    for line in lines.getvalue().split("\n"):
        out.write(f"    {_printable(line)}\n")


def configure(level: str = "INFO", log_format: str = "console") -> None:
    """Send structlog and the standard library's logging through one pipeline to stderr."""
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_private,
        one_line,
    ]
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_indented)
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These write one line a request or query at INFO, which drowns what matters.
    for noisy in ("uvicorn.access", "aiohttp.access", "mail.log", "celery.app.trace", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _OnDemand:
    """A logger that imports structlog, and with it rich and pygments, for its first line only.

    Most commands log nothing.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _logger(self) -> structlog.stdlib.BoundLogger:
        import structlog

        found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(self._name)
        return found

    def __getattr__(self, method: str) -> Any:
        return getattr(self._logger, method)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    return cast("structlog.stdlib.BoundLogger", _OnDemand(name))
