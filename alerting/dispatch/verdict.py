"""Between the ledger and the gate: the facts of a delivery, and what a refusal becomes."""

from __future__ import annotations

from datetime import datetime

from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.store.alerts import StoredAlert
from alerting.store.deliveries import OpenDelivery, Settlement
from alerting.throttle.gate import Facts

#: Where a delivery ends that was refused because its alert had; any other refusal suppresses it.
_ENDS = {
    Reason.EXPIRED: DeliveryState.EXPIRED,
    Reason.CANCELLED: DeliveryState.REVOKED,
    Reason.SUPERSEDED: DeliveryState.REVOKED,
}

_REASONS = {
    AlertState.EXPIRED: Reason.EXPIRED,
    AlertState.CANCELLED: Reason.CANCELLED,
    AlertState.SUPERSEDED: Reason.SUPERSEDED,
}


def facts(stored: StoredAlert, d: OpenDelivery, now: datetime) -> Facts:
    """What the gate may know of one delivery. An address that is gone counts as no consent."""
    return Facts(
        now=now,
        alert_state=stored.state,
        expires_at=stored.expires_at,
        consent=bool(d.consent),
        verified=bool(d.verified),
        suspended=bool(d.suspended_reason),
        already_told=d.already_told,
    )


def refusal(d: OpenDelivery, decision: Decision) -> Settlement:
    """The ledger's line for a delivery that is not to be sent."""
    state = _ENDS.get(decision.reason, DeliveryState.SUPPRESSED)
    return Settlement(d.id, state, decision.reason.value)


def ended_as(state: AlertState) -> tuple[DeliveryState, str]:
    """How deliveries end that were still planned when their alert did."""
    reason = _REASONS.get(state, Reason.CANCELLED)
    return _ENDS[reason], reason.value
