"""A delivery (alert × citizen × channel) and the one table its state moves along."""

from __future__ import annotations

from enum import StrEnum


class DeliveryState(StrEnum):
    #: Written with its chunk, or refused for now. While its chunk's window is open over it, the
    #: provider is being called: that is noted on the chunk, not here (decision 0002).
    PLANNED = "planned"
    #: The throttle holds it until later.
    DEFERRED = "deferred"
    #: Nobody knows whether the provider took it: its worker died, or the answer was lost.
    IN_DOUBT = "in_doubt"
    #: The provider took it. This is not yet DELIVERED.
    ACCEPTED = "accepted"
    #: The provider reports that the device or mailbox received it.
    DELIVERED = "delivered"
    #: Refused or undeliverable for good; the error code says why.
    FAILED = "failed"
    #: The throttle decided not to send; the reason says why.
    SUPPRESSED = "suppressed"
    #: The alert ended before it could be sent.
    EXPIRED = "expired"
    #: Cancelled or superseded before it was sent.
    REVOKED = "revoked"


S = DeliveryState

#: The states of a delivery that was not sent, as far as is known, and will not be.
_UNSENT = {S.SUPPRESSED, S.EXPIRED, S.REVOKED}

#: What the provider said, or says later in a receipt.
_ANSWERED = {S.ACCEPTED, S.DELIVERED, S.FAILED}

#: Every move there is. The SQL that writes states is made from it and refuses any other.
TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    # DELIVERED where the receipt overtakes our own note that the provider took it.
    S.PLANNED: frozenset({S.DEFERRED, S.IN_DOUBT} | _ANSWERED | _UNSENT),
    # PLANNED just before it is sent. FAILED when the digest that carried it did. The others where
    # it was sent after the backup was made that this database was restored from.
    S.DEFERRED: frozenset({S.PLANNED, S.IN_DOUBT} | _ANSWERED | _UNSENT),
    # Never again what looks unsent: it may have gone out.
    S.IN_DOUBT: frozenset(_ANSWERED),
    # By a receipt.
    S.ACCEPTED: frozenset({S.DELIVERED, S.FAILED}),
    S.DELIVERED: frozenset(),
    S.FAILED: frozenset(),
    S.SUPPRESSED: frozenset(),
    S.EXPIRED: frozenset(),
    S.REVOKED: frozenset(),
}

#: States that no longer need a worker. ACCEPTED may still move on by a receipt.
SETTLED = frozenset(_ANSWERED | _UNSENT)

#: States that still need a worker.
UNSETTLED = frozenset(DeliveryState) - SETTLED

#: States in which the citizen was notified, or may have been.
NOTIFIED = frozenset({S.IN_DOUBT, S.ACCEPTED, S.DELIVERED})
del S
