"""Follow-ups of earlier decisions: digests, and deliveries by the next channel.

They are not evaluated from scratch. But since the earlier decision the alert may have ended, the
citizen may have been notified of something newer, the address may have been closed, or the
citizen's quiet hours may have begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from alerting.domain.alert import Alert, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.info_selection import info_for
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.throttle.policy.parse import Policy
from alerting.throttle.quiet import quiet_until
from alerting.throttle.rules import HIGH_PRIORITY

#: The reason for sending nothing more for an alert in one of these states.
END_REASONS = {
    AlertState.EXPIRED: Reason.EXPIRED,
    AlertState.CANCELLED: Reason.CANCELLED,
    AlertState.SUPERSEDED: Reason.SUPERSEDED,
}


def follow_ups(
    stored: StoredAlert,
    alert: Alert,
    pending: Sequence[OpenDelivery],
    *,
    digest: bool,
    now: datetime,
    policy: Policy,
    can_be_silent: bool,
    overtaken: Mapping[int, Decision],
    outsiders: Set[int] = frozenset(),
) -> dict[int, Decision]:
    """Decide digests and deliveries by the next channel; returns the decisions by delivery.

    Args:
        alert: The content of the stored one.
        overtaken: By delivery, the decisions for those whose citizens have been notified of
            something newer since.
        outsiders: Citizens who take no part in a drill.
    """
    decided: dict[int, Decision] = {}
    for d in pending:
        participant = d.citizen_id not in outsiders
        if digest:
            decision = only_open(stored, d, now, Reason.DIGESTED, participant=participant)
        elif d.follows is not None and d.already_told:
            decision = Decision(Action.DROP, Reason.ALREADY_TOLD)
        elif d.follows is not None:
            decision = only_open(stored, d, now, Reason.UNREACHED, participant=participant)
            if decision.action is Action.SEND:
                decision = overtaken.get(d.id, decision)
        else:
            continue
        if decision.action is Action.SEND and not _at_any_hour(alert, d.info_no):
            decision = _by_day(
                d, decision, stored.expires_at, now, policy, can_be_silent=can_be_silent
            )
        decided[d.id] = decision
    return decided


def only_open(
    stored: StoredAlert, d: OpenDelivery, now: datetime, reason: Reason, *, participant: bool
) -> Decision:
    """SEND with this reason, unless the citizen is an outsider, the alert has ended or the address
    is closed."""
    if not participant:
        return Decision(Action.DROP, Reason.NOT_A_PARTICIPANT)
    state = AlertState.EXPIRED if now >= stored.expires_at else stored.state
    if state in END_REASONS:
        return Decision(Action.DROP, END_REASONS[state])
    if not d.consent or d.suspended_reason or not d.verified:
        return Decision(Action.DROP, Reason.OPTED_OUT)
    return Decision(Action.SEND, reason)


def _by_day(
    d: OpenDelivery,
    decision: Decision,
    expires_at: datetime,
    now: datetime,
    policy: Policy,
    *,
    can_be_silent: bool,
) -> Decision:
    """Defer until the citizen's quiet hours end. An alert that would expire before is sent silently
    if the channel can."""
    until = quiet_until(now, zone=d.time_zone, start=d.quiet_from, end=d.quiet_to, policy=policy)
    if until is None:
        return decision
    if expires_at <= until and can_be_silent:
        return Decision(Action.SILENT, decision.reason)
    return Decision(Action.DEFER, Reason.QUIET_HOURS, min(until, expires_at))


def _at_any_hour(alert: Alert, info_no: int) -> bool:
    """True for a high-priority alert, a drill or the end of a danger: quiet hours do not apply."""
    if alert.status is not Status.ACTUAL or alert.ends:
        return True
    info = info_for(alert, info_no)
    return info is not None and (info.severity in HIGH_PRIORITY or alert.ends_in(info))
