"""How far an alert has come inside this system. CAP's own `status` never changes; this does."""

from __future__ import annotations

from enum import StrEnum


class AlertState(StrEnum):
    #: Stored; a second person must let it go (unusually many alerts, or very many people).
    HELD = "held"
    #: Stored with its plan in the outbox; nobody has been told.
    ACCEPTED = "accepted"
    #: Its audience is being planned or told.
    DELIVERING = "delivering"
    #: Every delivery is settled.
    COMPLETED = "completed"
    #: Kept for the record and sent to nobody (Ack, Error, System, Draft).
    RECORDED = "recorded"
    #: A Cancel ended it.
    CANCELLED = "cancelled"
    #: A newer version of its thread replaced it, or stood before it came.
    SUPERSEDED = "superseded"
    #: Its time ran out before everyone was told.
    EXPIRED = "expired"


#: Nothing more goes out for an alert in one of these.
ENDED = frozenset(
    {AlertState.RECORDED, AlertState.CANCELLED, AlertState.SUPERSEDED, AlertState.EXPIRED}
)
