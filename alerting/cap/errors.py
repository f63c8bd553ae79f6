"""The one error of this room."""

from __future__ import annotations

from alerting.errors import BadInput


class CapError(BadInput):
    """The document is unsafe, or holds no alert that could be acted on; nothing was changed."""

    title = "Not a usable CAP alert"
