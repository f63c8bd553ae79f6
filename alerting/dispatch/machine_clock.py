"""This machine's clock compared with PostgreSQL's: what is ended or deleted by a wrong time cannot
be undone."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

#: A machine whose clock differs by more than this ends and deletes nothing.
_FAR = timedelta(minutes=1)


def off(here: datetime, there: datetime) -> str:
    """How far this machine's clock is from PostgreSQL's, as a sentence; empty when it is close."""
    if abs(here - there) <= _FAR:
        return ""
    return (
        f"The clock of {socket.gethostname()} says {here.isoformat(timespec='seconds')}, "
        f"PostgreSQL's {there.isoformat(timespec='seconds')}."
    )
