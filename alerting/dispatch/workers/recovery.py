"""Recovery: finds work whose worker is dead, and work whose claim was never answered."""

from __future__ import annotations

import time
from collections.abc import Collection

from alerting.store.db import AWAY, Database
from alerting.store.work import presence, queues

#: An owner without presence is considered dead when it was absent at every look for this long, and
#: for this much longer after PostgreSQL was unavailable and all have to reconnect.
_GRACE_S = 0.9
_COMEBACK_S = 3.0

#: A look that takes longer met a stalled PostgreSQL, and presence connections may have been
#: dropped.
_STALLED_S = 2.0

#: A claim of this worker that is older and unknown to it was lost on the way.
_KNOWN_S = 2.0

#: How often an absent owner is looked for.
_LOOK_S = 0.15


class Recovery:
    """Knows which owners are absent, and since when. Lives on one event loop.

    Args:
        owner: This worker's name.
        pause_s: Seconds between two looks while nobody is absent.
    """

    def __init__(self, db: Database, owner: str, *, lease_s: float, pause_s: float) -> None:
        self._db = db
        self._owner = owner
        self._fresh_s = lease_s - _KNOWN_S
        self._pause_s = pause_s
        self._absent: dict[str, float] = {}
        self._all_back_s = 0.0

    @property
    def pause_s(self) -> float:
        """Seconds until the next look."""
        return _LOOK_S if self._absent else self._pause_s

    async def gone(self) -> list[str]:
        """The owners without presence at several looks in a row.

        An owner that only lost its connection shows presence again at once, however often that
        happens.
        """
        asked_s = time.monotonic()
        try:
            absent = await presence.absent(self._db)
        except AWAY:
            self._start_anew()
            raise
        # The time of the answer counts: PostgreSQL may have stalled meanwhile.
        now = time.monotonic()
        if now - asked_s > _STALLED_S:
            self._start_anew()
        known, new = self._absent, max(now, self._all_back_s)
        self._absent = {owner: known.get(owner, new) for owner in absent}
        return [owner for owner, since in self._absent.items() if now - since >= _GRACE_S]

    async def free(self, gone: Collection[str], held: Collection[int]) -> list[int]:
        """Release the work of these owners, work with an expired lease, and work leased by this
        worker that is not in `held`. Returns the rows."""
        try:
            return await queues.recover(
                self._db, gone, own=self._owner, held=held, fresh_s=self._fresh_s
            )
        except AWAY:
            self._start_anew()
            raise

    def _start_anew(self) -> None:
        self._absent, self._all_back_s = {}, time.monotonic() + _COMEBACK_S
