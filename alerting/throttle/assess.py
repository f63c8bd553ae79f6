"""Assess: what an alert changes for one citizen, given what they were notified of before.

What counts is the citizen's belief, not what was sent to others: a danger they were notified
of that has neither ended for them nor expired. An alert interrupts when it changes that belief.
Copies, repetitions and new wording do not.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert import Severity
from alerting.domain.decision import Reason
from alerting.throttle.belief import Past, belief_at, most_severe, unended
from alerting.throttle.danger_end import end_of_danger
from alerting.throttle.news import (
    Repeat,
    announced_soon,
    latest_announcement,
    repeated,
    what_is_new,
)
from alerting.throttle.phase import Phase

#: Reasons that interrupt only when the same is announced again some time later.
_NOTHING_NEW = frozenset({Reason.IDENTICAL, Reason.TEXT_ONLY, Reason.COVERED, Reason.EXTENDED})

#: Reasons that withhold an end from the next channel.
_OVERTAKEN = frozenset({Reason.GOES_ON, Reason.ON_ITS_WAY, Reason.ALREADY_ENDED})

#: Reasons that go out without interrupting.
SILENT = frozenset({Reason.TEXT_ONLY, Reason.OVER})

#: Reasons that interrupt.
INTERRUPTING = frozenset(
    {
        Reason.NEW,
        Reason.ESCALATED,
        Reason.ENTERED,
        Reason.EASED,
        Reason.URGENCY,
        Reason.RESPONSE,
        Reason.INSTRUCTION,
        Reason.ONSET,
        Reason.CERTAINTY,
        Reason.ENDED,
        Reason.REPEATED,
        Reason.INSISTED,
    }
)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an alert means to a citizen.

    Attributes:
        weight: The severity that decides whether it may interrupt; for an end, that of its danger.
        before, after: The citizen's belief in words: `none`, `active Severe Immediate Shelter`,
            `ended`, `expired`.
        until: How long it can wait: an end while another alert is in force, an extension until
            shortly before the end that the citizen knows.
    """

    reason: Reason
    weight: Severity
    before: str
    after: str
    until: datetime | None = None


def assess(
    phase: Phase, history: Sequence[Past], *, places: int, now: datetime, repeat: Repeat
) -> Assessment:
    """What `phase` means to a citizen with this `history` of the same event.

    Args:
        history: Other alerts of the event, in any order.
        places: The citizen's places in its area, as bits.
    """
    past = sorted(history, key=lambda p: (p.phase.sent_at, p.at))
    belief = belief_at(past, now)
    # What an end ends is over by now; the citizen still believes in it.
    before = _belief_before(belief_at(past, now, over=True) if phase.ends else belief, past)
    until: datetime | None = None
    if phase.ends:
        reason, until = end_of_danger(phase, past, places, now)
    else:
        reason = what_is_new(phase, past, belief, places, now)
        if reason in _NOTHING_NEW and phase.tell_again:
            reason = Reason.INSISTED
        elif reason in _NOTHING_NEW and any(announced_soon(p, phase, places) for p in past):
            reason = Reason.SUPERSEDED
        elif reason in _NOTHING_NEW and repeated(phase, past, belief, now, repeat):
            reason = Reason.REPEATED
        if reason is Reason.EXTENDED:
            until = latest_announcement([p.phase for p in belief.values()], now)
    after = _belief_after(reason, before, phase, belief)
    return Assessment(reason, _weight(phase, past), before, after, until)


def overtaken(
    phase: Phase, history: Sequence[Past], *, places: int, now: datetime
) -> tuple[Reason, datetime | None] | None:
    """Why an alert decided earlier no longer holds for a citizen; None when it does.

    For deliveries by the next channel, which follow minutes after the decision. The instant is
    that of `Assessment.until`.
    """
    past = sorted(history, key=lambda p: (p.phase.sent_at, p.at))
    if phase.ends:
        reason, until = end_of_danger(phase, past, places, now)
        return (reason, until) if reason in _OVERTAKEN else None
    for p in past:
        if p.phase.thread != phase.thread or p.phase.sent_at <= phase.sent_at:
            continue
        if p.phase.ends and not (p.places and places & ~p.places):
            return Reason.SUPERSEDED, None
        if not p.phase.ends and (p.notified or p.open):
            return Reason.SUPERSEDED, None
    return None


def _weight(phase: Phase, past: Sequence[Past]) -> Severity:
    """An end has the last weight of its danger: citizens woken for the danger may be woken for its
    end."""
    if not phase.ends:
        return phase.severity
    latest = {p.phase.thread: p.phase.severity for p in unended(past)}
    return min([phase.severity, *latest.values()], key=lambda s: s.rank)


def _belief_before(belief: Mapping[Hashable, Past], past: Sequence[Past]) -> str:
    if belief:
        return _active(most_severe(belief.values()))
    notified = [p for p in past if p.notified]
    if not notified:
        return "none"
    return "ended" if notified[-1].phase.ends else "expired"


def _belief_after(
    reason: Reason, before: str, phase: Phase, belief: Mapping[Hashable, Past]
) -> str:
    if reason is Reason.ENDED:
        return "ended"
    if reason is Reason.PARTLY_ENDED:
        rest = [p for thread, p in belief.items() if thread != phase.thread]
        return _active(most_severe(rest)) if rest else "ended"
    if reason not in INTERRUPTING | {Reason.TEXT_ONLY, Reason.EXTENDED}:
        return before  # a danger that was over before it was announced leaves no belief behind
    others = [p.phase for thread, p in belief.items() if thread != phase.thread]
    return _active(min([phase, *others], key=lambda s: s.severity.rank))


def _active(phase: Phase) -> str:
    responses = "+".join(sorted(phase.responses))
    return " ".join(["active", phase.severity, phase.urgency, *([responses] if responses else [])])
