"""Errors a person will read: what is wrong and what to do.

AlertingError          everything below; `detail` is a whole sentence for a person
├─ BadInput            the caller's input was refused and nothing changed; exit 2, HTTP 4xx
│  ├─ NotFound         what was named does not exist; HTTP 404
│  ├─ Gone             what was named was there and is kept no longer; HTTP 410
│  ├─ Conflict         it contradicts something accepted before; HTTP 409 or 422
│  ├─ NotInstalled     it needs an extra of the package that is not installed
│  └─ NotAllowed       nobody knows who asks; HTTP 401
│     └─ Forbidden     it is known who asks, and they may not do this; HTTP 403
└─ WorkFailed          the input was good, the work was not done; exit 1, HTTP 5xx
   └─ Unavailable      an engine this needs is not there right now; HTTP 503
"""

from __future__ import annotations

#: A note (`add_note`) on a refusal that is already in the audit log.
RECORDED = "recorded"


class AlertingError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1
    http_status = 500
    title = "Internal error"

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(f"{detail} {remedy}".strip())
        self.detail = detail
        self.remedy = remedy


class BadInput(AlertingError):
    """The input was refused; nothing was changed."""

    exit_code = 2
    http_status = 422
    title = "Bad input"


class NotFound(BadInput):
    """What the caller named does not exist."""

    http_status = 404
    title = "Not found"


class Gone(BadInput):
    """What the caller named existed and is no longer kept."""

    http_status = 410
    title = "Gone"


class Conflict(BadInput):
    """The input contradicts something accepted before."""

    http_status = 409
    title = "Conflict"


class NotInstalled(BadInput):
    """What was asked for needs an extra of the package. `instead`: what would do without it."""

    title = "Not installed"

    def __init__(self, what: str, extra: str, *, instead: str = "") -> None:
        otherwise = f", or {instead}" if instead else ""
        super().__init__(
            f"{what} is not installed.",
            remedy=f"Run `pip install 'alerting[{extra}]'`{otherwise}.",
        )


class NotAllowed(BadInput):
    """The caller is unknown: no key, or none that is valid."""

    http_status = 401
    title = "Not allowed"


class Forbidden(NotAllowed):
    """The caller is known and may not do this."""

    http_status = 403


class WorkFailed(AlertingError):
    """The input was good and the work was not done."""

    title = "The work failed"


class Unavailable(WorkFailed):
    """An engine this needs does not answer right now; the same call may work later."""

    http_status = 503
    title = "Unavailable"


class NotMigrated(Unavailable):
    """The database's schema is missing or older than this version needs."""
