"""A delivery (alert × citizen × channel) and the one table its state moves along."""

from __future__ import annotations

from enum import StrEnum


class DeliveryState(StrEnum):
    #: Written with its chunk; no provider has been called.
    PLANNED = "planned"
    #: The throttle holds it until later.
    DEFERRED = "deferred"
    #: Inside a worker's open window: the provider is being called.
    ATTEMPTING = "attempting"
    #: The worker died in the window; nobody knows whether the provider took it.
    IN_DOUBT = "in_doubt"
    #: The provider took it. This is not yet DELIVERED.
    ACCEPTED = "accepted"
    #: The provider reports that it reached the device or mailbox.
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
TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    S.PLANNED: frozenset({S.ATTEMPTING, S.DEFERRED, S.SUPPRESSED, S.EXPIRED, S.REVOKED, S.FAILED}),
    # FAILED when the digest that carried it did.
    S.DEFERRED: frozenset({S.PLANNED, S.ATTEMPTING, S.SUPPRESSED, S.EXPIRED, S.REVOKED, S.FAILED}),
    # Back to PLANNED only after a definite refusal that may be tried again.
    S.ATTEMPTING: frozenset(
        {S.PLANNED, S.IN_DOUBT, S.ACCEPTED, S.DELIVERED, S.FAILED, S.SUPPRESSED, S.EXPIRED}
    ),
    S.IN_DOUBT: frozenset({S.ATTEMPTING, S.ACCEPTED, S.DELIVERED, S.FAILED, S.EXPIRED}),
    S.ACCEPTED: frozenset({S.DELIVERED, S.FAILED}),
    S.DELIVERED: frozenset(),
    S.FAILED: frozenset(),
    S.SUPPRESSED: frozenset(),
    S.EXPIRED: frozenset(),
    S.REVOKED: frozenset(),
}
del S

#: States that no longer need a worker. ACCEPTED may still move on by a receipt.
SETTLED = frozenset(
    {
        DeliveryState.ACCEPTED,
        DeliveryState.DELIVERED,
        DeliveryState.FAILED,
        DeliveryState.SUPPRESSED,
        DeliveryState.EXPIRED,
        DeliveryState.REVOKED,
    }
)

#: States in which the citizen was told, or may have been.
TOLD = frozenset(
    {
        DeliveryState.ATTEMPTING,
        DeliveryState.IN_DOUBT,
        DeliveryState.ACCEPTED,
        DeliveryState.DELIVERED,
    }
)


def may_move(old: DeliveryState, new: DeliveryState) -> bool:
    """True when the table lets a delivery go from `old` to `new`."""
    return new in TRANSITIONS[old]
