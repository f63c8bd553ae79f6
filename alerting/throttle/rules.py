"""The throttle's rules, in order: the first that answers decides, and every answer has its reason.

A rule looks at the facts of one delivery and returns a Decision, AskBudget (the citizen's budget
decides), or None. Every rule can be asked for its answer, which is what `alerting why` prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.domain.alert import Severity
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.throttle.assess import INTERRUPTING, SILENT, Assessment
from alerting.throttle.budget import Answer, Window

#: Reasons that say that a danger is over.
_ENDS = frozenset({Reason.ENDED, Reason.PARTLY_ENDED, Reason.OVER})

#: Reasons that no limit withholds from a citizen (invariant 1).
_NEVER_LOST = frozenset({Reason.NEW, Reason.ESCALATED, Reason.ENTERED, Reason.ENDED})

#: Exempt from the budget and from quiet hours.
HIGH_PRIORITY = frozenset({Severity.EXTREME, Severity.SEVERE})


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a rule may know of one delivery at one instant.

    Attributes:
        consent, verified, suspended: Of the address now, not when it was planned.
        already_told: This endpoint has received, or certainly will, this alert by another delivery.
        assessment: What the alert means to this citizen.
        expires_at: When the info for this citizen, or the alert, expires.
        can_be_silent: The channel can deliver without interrupting.
        silenced_by: Who set a silence that applies; empty without one.
        related_severity: The highest severity of another event of the same hazard that is in force
        for
            the citizen and that they were notified of.
        quiet_until: The end of the citizen's quiet hours, None outside of them.
        slot_at: When the citizen's next digest goes out.
        group_until: Until when less severe alerts wait for their copies and corrections.
        rehearsal: A drill or test, which participants expect at any hour.
        participant: False for citizens who take no part in a drill; only drills have them.
    """

    now: datetime
    alert_state: AlertState
    expires_at: datetime
    consent: bool
    verified: bool
    suspended: bool
    already_told: bool
    assessment: Assessment
    can_be_silent: bool
    silenced_by: str
    related_severity: Severity | None
    quiet_until: datetime | None
    slot_at: datetime
    group_until: datetime
    rehearsal: bool = False
    participant: bool = True


@dataclass(frozen=True, slots=True)
class AskBudget:
    """It may go out if the citizen's budget for this severity admits it."""

    severity: Severity


Rule = Callable[[Facts], Decision | AskBudget | None]


def not_a_participant(facts: Facts) -> Decision | None:
    """A drill goes only to its participants, whatever else is true (invariant 3)."""
    return None if facts.participant else Decision(Action.DROP, Reason.NOT_A_PARTICIPANT)


def expired(facts: Facts) -> Decision | None:
    """An expired alert is never sent (invariant 9)."""
    if facts.alert_state is AlertState.EXPIRED or facts.now >= facts.expires_at:
        return Decision(Action.DROP, Reason.EXPIRED)
    return None


def cancelled(facts: Facts) -> Decision | None:
    """A cancelled or replaced alert goes to nobody new (invariant 8)."""
    if facts.alert_state is AlertState.CANCELLED:
        return Decision(Action.DROP, Reason.CANCELLED)
    if facts.alert_state is AlertState.SUPERSEDED:
        return Decision(Action.DROP, Reason.SUPERSEDED)
    return None


def opted_out(facts: Facts) -> Decision | None:
    """Without consent or verification, or to a dead address, nothing is sent."""
    if not facts.consent:
        return Decision(Action.DROP, Reason.OPTED_OUT)
    if not facts.verified:
        return Decision(Action.DROP, Reason.UNVERIFIED)
    if facts.suspended:
        return Decision(Action.DROP, Reason.SUSPENDED)
    return None


def already_told(facts: Facts) -> Decision | None:
    """One endpoint gets one alert once, however many citizens share it."""
    return Decision(Action.DROP, Reason.ALREADY_TOLD) if facts.already_told else None


def silenced(facts: Facts) -> Decision | None:
    """A coordinator's silence withholds everything but Extreme and the ends of dangers."""
    reason, weight = facts.assessment.reason, facts.assessment.weight
    if facts.silenced_by and weight is not Severity.EXTREME and reason not in _ENDS:
        return Decision(Action.DROP, Reason.SILENCED)
    return None


def nothing_new(facts: Facts) -> Decision | None:
    """What changes nothing for the citizen is not sent; new wording is sent silently.

    A longer end is sent silently too; where the channel cannot, it interrupts shortly before the
    end that the citizen knows.
    """
    reason = facts.assessment.reason
    if reason in INTERRUPTING:
        return None
    if reason is Reason.PARTLY_ENDED or (reason is Reason.EXTENDED and facts.can_be_silent):
        return Decision(_quietest(facts), reason)
    if facts.assessment.until is not None:
        # Deferred, not dropped: who was notified of a danger must be notified of its end.
        return Decision(Action.DEFER, reason, min(facts.assessment.until, facts.expires_at))
    if reason is Reason.EXTENDED:
        return None
    return Decision(Action.SILENT if reason in SILENT else Action.DROP, reason)


def grave(facts: Facts) -> Decision | None:
    """Extreme and Severe, and the ends of such dangers, wait for nothing (invariant 1)."""
    if facts.assessment.weight in HIGH_PRIORITY or facts.rehearsal:
        return Decision(Action.SEND, facts.assessment.reason)
    return None


def inhibited(facts: Facts) -> Decision | None:
    """Who was notified of a more severe danger of this hazard is not interrupted for less."""
    notified, weight = facts.related_severity, facts.assessment.weight
    if facts.assessment.reason is Reason.ENDED or notified is None or notified.rank >= weight.rank:
        return None
    return Decision(Action.SILENT, Reason.INHIBITED)


def grouped(facts: Facts) -> Decision | None:
    """A less severe alert waits a short time, so that its copies and corrections can be matched."""
    if facts.now < facts.group_until and facts.assessment.reason is not Reason.ENDED:
        return Decision(Action.DEFER, Reason.GROUPED, facts.group_until)
    return None


def quiet(facts: Facts) -> Decision | None:
    """In the citizen's quiet hours less severe alerts and their ends wait for the next digest."""
    if facts.quiet_until is None:
        return None
    if facts.assessment.reason is Reason.ENDED and facts.can_be_silent:
        return Decision(Action.SILENT, Reason.ENDED)
    return _later(facts, Reason.QUIET_HOURS)


def end_of_danger(facts: Facts) -> Decision | None:
    """The end of a danger is never charged, and outside quiet hours never withheld (invariant
    1)."""
    if facts.assessment.reason is Reason.ENDED:
        return Decision(Action.SEND, Reason.ENDED)
    return None


def budget(facts: Facts) -> AskBudget:
    """Everything else has to fit into the citizen's budget."""
    return AskBudget(facts.assessment.weight)


#: In this order: whether the alert is for the citizen at all, then whether it is over, then what
#: concerns the citizen.
RULES: tuple[Rule, ...] = (
    not_a_participant,
    cancelled,
    expired,
    opted_out,
    already_told,
    silenced,
    nothing_new,
    grave,
    inhibited,
    grouped,
    quiet,
    end_of_danger,
    budget,
)


def decide(facts: Facts) -> Decision | AskBudget:
    """The first rule's answer. AskBudget means that `after_budget` makes the decision."""
    for rule in RULES:
        answer = rule(facts)
        if answer is not None:
            return answer
    raise AssertionError("the last rule always answers")


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule and its answer; None when it had no objection."""

    rule: str
    answer: Decision | AskBudget | None


def trace(facts: Facts) -> list[Asked]:
    """Every rule's answer, in order, including those after the one that decides."""
    return [Asked(rule.__name__, rule(facts)) for rule in RULES]


def after_budget(facts: Facts, answer: Answer) -> Decision:
    """The decision once the budget has answered.

    A refusal that ends before the next digest is a short wait; a longer one joins the digest.
    """
    if answer.admitted:
        return Decision(Action.SEND, facts.assessment.reason)
    if answer.window is Window.DAY:
        return _later(facts, Reason.BUDGET_DAY)
    until = facts.now + timedelta(seconds=answer.wait_s)
    if until < min(facts.slot_at, facts.expires_at):
        return Decision(Action.DEFER, Reason.BUDGET_HOUR, until)
    return _later(facts, Reason.BUDGET_HOUR)


def _later(facts: Facts, reason: Reason) -> Decision:
    """Move it to the digest. An alert that expires before the digest goes out now.

    It goes out silently where the channel can. Otherwise it interrupts if without it the citizen
    would never be notified of the danger, of its rise or of its end.
    """
    if facts.expires_at <= facts.slot_at:
        if facts.can_be_silent:
            return Decision(Action.SILENT, reason)
        if facts.assessment.reason in _NEVER_LOST:
            if facts.quiet_until is not None and facts.quiet_until < facts.expires_at:
                return Decision(Action.DEFER, reason, facts.quiet_until)
            return Decision(Action.SEND, facts.assessment.reason)
    return Decision(Action.DIGEST, reason, facts.slot_at)


def _quietest(facts: Facts) -> Action:
    return Action.SILENT if facts.can_be_silent else Action.SEND
