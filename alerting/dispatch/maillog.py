"""A mail relay's log: which of our messages it accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Our envelope sender names the delivery, with any tag: `b+4711@`, `b+4711.x@`.
_SENDER = re.compile(r"\bb\+(\d+)[^@\s<>]*@", re.I)
_RECIPIENT = re.compile(r"\b(?:orig_)?to=<?([^\s<>,;]+@[^\s<>,;]+)>?", re.I)
#: Postfix and Sendmail start each line about a message with its queue id.
_QUEUE = re.compile(r"([0-9A-Za-z-]{6,}):")


class MailLog:
    """Reads a log once.

    Args:
        known_below: Deliveries with lower ids are in the backup.
    """

    def __init__(self, lines: Iterable[str], *, known_below: int) -> None:
        self._known_below = known_below
        self._ids: set[int] = set()
        self._others: set[str] = set()
        unknown: set[str] = set()
        for line in lines:
            queue = _queue(line)
            for found in _SENDER.finditer(line):
                delivery_id = int(found[1])
                self._ids.add(delivery_id)
                if delivery_id >= known_below and queue:
                    unknown.add(queue)
            if queue in unknown:
                self._others |= {m[1].casefold() for m in _RECIPIENT.finditer(line)}

    def took(self, delivery_id: int, endpoint: str) -> bool | None:
        """True when the relay accepted it, False when it did not; None when it accepted something
        for this address that the backup does not know and that may have been this."""
        if delivery_id in self._ids and delivery_id < self._known_below:
            return True
        if delivery_id >= self._known_below and endpoint.casefold() in self._others:
            return None
        return False


def _queue(line: str) -> str:
    """The queue id of a line: the last word with a colon before the first `=`."""
    found = _QUEUE.findall(line.partition("=")[0])
    return found[-1] if found else ""
