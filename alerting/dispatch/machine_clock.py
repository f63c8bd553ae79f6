"""Compares this machine's clock with PostgreSQL's: alerts that a wrong clock ends, or rows that it
deletes, cannot be restored."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

#: With a larger difference this machine ends and deletes nothing.
_FAR = timedelta(minutes=1)


def off(here: datetime, there: datetime) -> str:
    """Return both times as a sentence when they differ too much; empty when they agree.

    Args:
        here: This machine's time.
        there: PostgreSQL's.
    """
    if abs(here - there) <= _FAR:
        return ""
    return (
        f"The clock of {socket.gethostname()} says {here.isoformat(timespec='seconds')}, "
        f"PostgreSQL's {there.isoformat(timespec='seconds')}."
    )
