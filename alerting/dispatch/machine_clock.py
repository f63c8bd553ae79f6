"""This machine's clock beside PostgreSQL's: what is ended or deleted by a wrong time does not come
back."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

#: A machine whose clock differs by more ends and deletes nothing.
_FAR = timedelta(minutes=1)


def off(here: datetime, there: datetime) -> str:
    """How far this machine's clock is from PostgreSQL's, as a sentence; "" where it is near."""
    if abs(here - there) <= _FAR:
        return ""
    return (
        f"The clock of {socket.gethostname()} says {here.isoformat(timespec='seconds')}, "
        f"PostgreSQL's {there.isoformat(timespec='seconds')}."
    )
