"""The gate: ordered rules, the first that answers decides, and the answer carries its reason.

A rule looks at the facts of one delivery and says a Decision or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Decision, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Facts:
    """All a rule may know of one delivery at one instant.

    consent, verified, suspended: of the address, as it stands now, not when planned.
    already_told: this endpoint has, or will surely get, this alert by another delivery.
    """

    now: datetime
    alert_state: AlertState
    expires_at: datetime
    consent: bool
    verified: bool
    suspended: bool
    already_told: bool


Rule = Callable[[Facts], Decision | None]


def expired(facts: Facts) -> Decision | None:
    """An expired alert is never sent (invariant 9)."""
    if facts.alert_state is AlertState.EXPIRED or facts.now >= facts.expires_at:
        return Decision(Verdict.DROP, Reason.EXPIRED)
    return None


def cancelled(facts: Facts) -> Decision | None:
    """A cancelled or replaced alert goes to nobody new (invariant 8)."""
    if facts.alert_state is AlertState.CANCELLED:
        return Decision(Verdict.DROP, Reason.CANCELLED)
    if facts.alert_state is AlertState.SUPERSEDED:
        return Decision(Verdict.DROP, Reason.SUPERSEDED)
    return None


def opted_out(facts: Facts) -> Decision | None:
    """No consent, no verification or a dead address: nothing is sent there."""
    if not facts.consent:
        return Decision(Verdict.DROP, Reason.OPTED_OUT)
    if not facts.verified:
        return Decision(Verdict.DROP, Reason.UNVERIFIED)
    if facts.suspended:
        return Decision(Verdict.DROP, Reason.SUSPENDED)
    return None


def already_told(facts: Facts) -> Decision | None:
    """One endpoint hears one alert once, however many citizens share it."""
    return Decision(Verdict.DROP, Reason.ALREADY_TOLD) if facts.already_told else None


#: Asked in this order; what says the alert itself is over comes before what concerns the citizen.
RULES: tuple[Rule, ...] = (cancelled, expired, opted_out, already_told)


def decide(facts: Facts) -> Decision:
    """The decision for one delivery: the first rule that answers, else SEND because it is new."""
    for rule in RULES:
        decision = rule(facts)
        if decision is not None:
            return decision
    return Decision(Verdict.SEND, Reason.NEW)
