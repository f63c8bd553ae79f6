"""Documents: a cache of the alerts that a process has read and parsed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert
from alerting.store.alerts import stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert

#: The most alerts and characters cached. A character takes about seven bytes, most of them in
#: parsed polygons.
_MOST = 64
_MOST_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class _Known:
    document: dict[str, Any]
    alert: Alert
    characters: int


class Documents:
    """Loads alerts, with a least-recently-used cache of their documents, which never change.

    Everything else of an alert, its state above all, is read each time. The document used last
    stays cached, however long it is.

    Args:
        most: The most alerts cached.
        most_characters: The most characters cached, over all documents.
    """

    def __init__(self, *, most: int = _MOST, most_characters: int = _MOST_CHARACTERS) -> None:
        self._most = most
        self._most_characters = most_characters
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._characters = 0

    async def get(self, connection: AsyncConnection, alert_id: UUID) -> StoredAlert | None:
        """Return an alert in its present state, with its document; None for an unknown id."""
        known = self._known.get(alert_id)
        document = None if known is None else known.document
        stored = await stored_alerts.get(connection, alert_id, document=document)
        if stored is None:
            return None
        if known is None:
            # An estimate that costs no object for each number.
            known = _Known(stored.document, stored.alert, len(repr(stored.document)))
            self._known[stored.id] = known
            self._characters += known.characters
            self._forget()
        else:
            self._known.move_to_end(stored.id)
        return stored.carrying(known.alert)

    async def each(
        self, connection: AsyncConnection, alert_ids: Iterable[UUID]
    ) -> AsyncIterator[StoredAlert]:
        """Yield those of these alerts that exist, one at a time: many long documents at once would
        not fit into a worker's memory."""
        for alert_id in alert_ids:
            stored = await self.get(connection, alert_id)
            if stored is not None:
                yield stored

    def _forget(self) -> None:
        while len(self._known) > self._most or (
            self._characters > self._most_characters and len(self._known) > 1
        ):
            _, oldest = self._known.popitem(last=False)
            self._characters -= oldest.characters
