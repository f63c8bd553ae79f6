"""The page cache: public alerts and their pages in memory, for many readers at once.

An alert's document never changes, so it is read and parsed once, and a page is rendered once for
each state and language. Only the alert's state is read from the database, once a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.citizen.alert_page import Reading, alert_page
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.store.alerts import stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database

#: As long as caches between us and the reader store a page.
_FRESH_S = 1.0

#: The most alerts cached, and bytes of pages; the longest unread are removed first.
_MOST_ALERTS = 128
_MOST_BYTES = 32_000_000


def tag_of(body: bytes | memoryview) -> str:
    """The ETag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


class Page(NamedTuple):
    """A page as sent, with its ETag."""

    body: bytes
    tag: str


@dataclass(slots=True)
class _Known:
    """An alert in the cache.

    Attributes:
        stored: Without its document.
        read_s: When its state was read, by the cache's clock.
    """

    stored: StoredAlert
    document: Alert
    read_s: float


class PageCache:
    """The cache of one process. Lives on one event loop.

    Args:
        now_s: A monotonic clock.
    """

    def __init__(
        self, *, now_s: Callable[[], float] = time.monotonic, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._now_s = now_s
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._pages: OrderedDict[tuple[str, AlertState, Reading], Page] = OrderedDict()
        self._bytes = 0

    async def find(
        self,
        db: Database,
        path: str,
        read: Callable[[AsyncConnection], Awaitable[StoredAlert | None]],
    ) -> tuple[StoredAlert, Alert] | None:
        """The alert whose page is at `path`, as it was at most a second ago; None when there is
        none. Only a public one is cached.

        Args:
            read: Loads it from the database; called once for concurrent requests.
        """
        if (known := self._fresh(path)) is None:
            async with self._turns.setdefault(path, asyncio.Lock()):
                known = self._fresh(path) or await self._read(db, path, read)
        return None if known is None else (known.stored, known.document)

    def page(self, path: str, document: Alert, state: AlertState, reading: Reading) -> Page:
        """The page of a public alert; rendered if it is not cached."""
        key = (path, state, reading)
        if (page := self._pages.get(key)) is not None:
            self._pages.move_to_end(key)
            return page
        body = alert_page(document, state, reading=reading, path=path).encode()
        page = Page(body, tag_of(body))
        self._pages[key] = page
        self._bytes += len(body)
        while self._bytes > self._most_bytes and self._pages:
            self._bytes -= len(self._pages.popitem(last=False)[1].body)
        return page

    def _fresh(self, path: str) -> _Known | None:
        known = self._known.get(path)
        return known if known is not None and self._now_s() - known.read_s < _FRESH_S else None

    async def _read(
        self,
        db: Database,
        path: str,
        read: Callable[[AsyncConnection], Awaitable[StoredAlert | None]],
    ) -> _Known | None:
        read_s, known = self._now_s(), self._known.get(path)
        async with db.begin() as connection:
            if known is None:
                stored = await read(connection)
            else:
                stored = await stored_alerts.get(connection, known.stored.id, document={})
        if stored is None:
            self._known.pop(path, None)
            return None
        document = from_json(stored.document) if known is None else known.document
        found = _Known(replace(stored, document={}), document, read_s)
        if stored.for_public:
            self._known[path] = found
            self._known.move_to_end(path)
            if len(self._known) > _MOST_ALERTS:
                self._known.popitem(last=False)
        return found
