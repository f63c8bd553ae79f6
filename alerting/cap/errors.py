"""The error of this package."""

from __future__ import annotations

from alerting.errors import BadInput


class CapError(BadInput):
    """The document is unsafe, or contains no usable alert; nothing was changed."""

    title = "Not a usable CAP alert"
