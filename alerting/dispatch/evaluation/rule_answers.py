"""Rule answers: what each rule said of a delivery at its decision, as far as the ledger knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.throttle.rules import AskBudget, Asked, Facts, trace

_QUESTIONS = {
    "not_a_participant": "Was it a drill that the citizen takes no part in?",
    "cancelled": "Was the alert cancelled or replaced?",
    "expired": "Had it run out?",
    "opted_out": "Does the citizen want messages at this address?",
    "already_told": "Was this endpoint notified by another delivery of it?",
    "silenced": "Did a coordinator's silence cover it?",
    "nothing_new": "Did it tell the citizen anything new?",
    "grave": "Was it about a Severe or Extreme danger?",
    "inhibited": "Did the citizen know of a more severe danger of this kind?",
    "grouped": "Did it wait for copies and corrections of itself?",
    "quiet": "Was it within the citizen's quiet hours?",
    "end_of_danger": "Was it the end of a danger?",
    "budget": "Did the citizen's budget admit it?",
}

_WORDS = {
    Action.SEND: "it goes out",
    Action.SILENT: "it goes out without interrupting",
    Action.DEFER: "it waits",
    Action.DIGEST: "it joins the digest",
    Action.DROP: "it does not go out",
}


#: The rule behind a reason in the ledger, when no other rule can give it.
_RULES: Mapping[str, str] = {
    Reason.NOT_A_PARTICIPANT: "not_a_participant",
    Reason.CANCELLED: "cancelled",
    Reason.SUPERSEDED: "cancelled",
    Reason.EXPIRED: "expired",
    Reason.OPTED_OUT: "opted_out",
    Reason.UNVERIFIED: "opted_out",
    Reason.SUSPENDED: "opted_out",
    Reason.ALREADY_TOLD: "already_told",
    Reason.SILENCED: "silenced",
    Reason.INHIBITED: "inhibited",
    Reason.GROUPED: "grouped",
    Reason.QUIET_HOURS: "quiet",
    Reason.BUDGET_HOUR: "budget",
    Reason.BUDGET_DAY: "budget",
    Reason.NO_BUDGET: "budget",
}

#: Reasons in the ledger for deliveries that had been decided before.
_LATER = frozenset({Reason.DIGESTED, Reason.UNREACHED, Reason.UNJUDGED})

#: States in which nothing was decided yet, or the reason is the provider's.
_OPEN_OR_FAILED = frozenset({DeliveryState.PLANNED, DeliveryState.FAILED})

_WITHHELD = frozenset({DeliveryState.SUPPRESSED, DeliveryState.DEFERRED})
_NEVER_SENT = frozenset({DeliveryState.SUPPRESSED, DeliveryState.EXPIRED, DeliveryState.REVOKED})


@dataclass(frozen=True, slots=True)
class Answer:
    """One rule's answer in words; `decides` for the first that had one."""

    rule: str
    question: str
    answer: str
    decides: bool


def answers(facts: Facts, state: str, reason: str) -> list[Answer]:
    """What the rules said, in order.

    Whatever has changed since: the rule that decided is shown as deciding, and those before it as
    having no objection.
    """
    asked = trace(facts)
    kept = _kept(state, reason)
    deciding = _deciding(asked, state, kept)
    found = []
    for no, one in enumerate(asked):
        if no < deciding:
            one = Asked(one.rule, None)
        elif no == deciding and kept:
            one = Asked(one.rule, _as_decided(one, Reason(reason), state))
        words = _words(one, facts, reason)
        found.append(Answer(one.rule, _QUESTIONS[one.rule], words, no == deciding))
    return found


def _kept(state: str, reason: str) -> str:
    """The rule that decided, where the ledger's reason says it; else empty."""
    if state in _OPEN_OR_FAILED or reason not in set(Reason):
        return ""
    withheld = state in _WITHHELD and reason not in _LATER
    return _RULES.get(reason, "nothing_new" if withheld else "")


def _deciding(asked: list[Asked], state: str, kept: str) -> int:
    """The index of the rule that decided; for a planned delivery, of the one that would now."""
    if kept:
        return [one.rule for one in asked].index(kept)
    never = set[Action]()
    if state != DeliveryState.PLANNED:
        waits = state in _WITHHELD
        never = {Action.DROP} if waits else {Action.DROP, Action.DEFER, Action.DIGEST}
    for no, one in enumerate(asked):
        action = one.answer.action if isinstance(one.answer, Decision) else None
        if one.answer is not None and action not in never:
            return no
    return len(asked) - 1


def _as_decided(one: Asked, reason: Reason, state: str) -> Decision | AskBudget:
    """What a rule said then, from what the ledger kept of it."""
    if isinstance(one.answer, AskBudget):
        return one.answer
    if one.answer is not None and one.answer.reason is reason:
        return one.answer
    if state == DeliveryState.DEFERRED:
        return Decision(Action.DEFER, reason)
    return Decision(Action.DROP if state in _NEVER_SENT else Action.SILENT, reason)


def _words(one: Asked, facts: Facts, reason: str) -> str:
    if isinstance(one.answer, AskBudget):
        if reason in {Reason.BUDGET_HOUR, Reason.BUDGET_DAY, Reason.NO_BUDGET}:
            return f"No. {Reason(reason).sentence}"
        return f"It is asked for {one.answer.severity} when no rule before it decides."
    if isinstance(one.answer, Decision):
        until = f" until {one.answer.until:%Y-%m-%d %H:%M %Z}" if one.answer.until else ""
        return f"{one.answer.reason.sentence} So {_WORDS[one.answer.action]}{until}."
    if one.rule == "nothing_new":
        return f"Yes. {facts.assessment.reason.sentence}"
    if one.rule == "opted_out":
        return "Yes."
    return "No."
