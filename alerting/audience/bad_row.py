"""The error for one line of a register."""

from __future__ import annotations

from alerting.errors import BadInput


class BadRow(BadInput):
    """This line is refused; the others continue."""
