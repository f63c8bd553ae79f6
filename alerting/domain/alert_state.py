"""How far an alert has come inside this system. CAP's own `status` never changes; this does."""

from __future__ import annotations

from enum import StrEnum

from alerting.domain.transitions import final


class AlertState(StrEnum):
    #: Stored; a second person must approve it (unusually many alerts, or a very large audience).
    HELD = "held"
    #: Stored with its plan in the outbox; nobody has been notified.
    ACCEPTED = "accepted"
    #: Its audience is being planned or notified.
    DELIVERING = "delivering"
    #: Every delivery has reached a final state.
    COMPLETED = "completed"
    #: Kept for the record and sent to nobody (Ack, Error, System, Draft).
    RECORDED = "recorded"
    #: A Cancel ended it.
    CANCELLED = "cancelled"
    #: A newer version of its thread replaced it, or had arrived before it.
    SUPERSEDED = "superseded"
    #: It expired before everybody was notified.
    EXPIRED = "expired"


S = AlertState

#: How an alert may end before its time, whoever had been notified of it by then.
_REPLACED = {S.CANCELLED, S.SUPERSEDED}

#: Every move there is. The SQL that writes states is made from it and refuses any other.
TRANSITIONS: dict[AlertState, frozenset[AlertState]] = {
    S.HELD: frozenset({S.ACCEPTED, S.EXPIRED} | _REPLACED),
    # COMPLETED at once where nobody is in its area.
    S.ACCEPTED: frozenset({S.DELIVERING, S.COMPLETED, S.EXPIRED} | _REPLACED),
    S.DELIVERING: frozenset({S.COMPLETED, S.EXPIRED} | _REPLACED),
    S.COMPLETED: frozenset(_REPLACED),
    S.RECORDED: frozenset(),
    S.CANCELLED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.EXPIRED: frozenset(),
}
del S

#: Nothing more goes out for an alert in one of these.
ENDED = final(TRANSITIONS)
