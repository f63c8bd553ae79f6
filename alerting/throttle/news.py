"""News: what an alert about a danger says that the citizen does not know."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.domain.alert import Certainty, MsgType, ResponseType, Severity, Urgency
from alerting.domain.decision import Reason
from alerting.throttle.belief import Past, most_severe
from alerting.throttle.hazard import compatible
from alerting.throttle.phase import Phase
from alerting.throttle.reading import reads_alike

#: Responses that require action; another agency that adds one of these says something new.
_ACTIVE = frozenset(
    {
        ResponseType.SHELTER,
        ResponseType.EVACUATE,
        ResponseType.PREPARE,
        ResponseType.EXECUTE,
        ResponseType.AVOID,
    }
)

#: Certainties of a danger that is there or will come.
_SURE = frozenset({Certainty.OBSERVED, Certainty.LIKELY})

#: A longer end is announced at most this long before the end that the citizen knows.
_BEFORE_END = timedelta(minutes=15)

#: After an Extreme interruption, another sender's alert about it is silent for this long.
_OTHERS_EXTREME_S = 300.0


@dataclass(frozen=True, slots=True)
class Repeat:
    """After how long a new alert with the same content interrupts again, by its severity."""

    extreme_s: float
    severe_s: float


def what_is_new(
    phase: Phase,
    past: Sequence[Past],
    belief: Mapping[Hashable, Past],
    places: int,
    now: datetime,
) -> Reason:
    """What a danger changes for the citizen, given their `belief` (see `belief_at`).

    Args:
        past: Other alerts of the event, oldest first.
        places: The citizen's places in its area, as bits.
    """
    if any(p.phase.thread == phase.thread and p.phase.sent_at > phase.sent_at for p in past):
        return Reason.SUPERSEDED
    if not belief:
        return Reason.NEW
    rank = most_severe(belief.values()).severity.rank
    if phase.severity.rank < rank:
        return Reason.ESCALATED
    known = 0
    for p in past:
        if p.notified and p.phase.thread in belief:
            known |= p.places
    if places & ~known:
        return Reason.ENTERED
    own = belief.get(phase.thread)
    if own is not None:
        return _update(phase, own, belief, rank, now)
    alike = [p.phase for p in belief.values() if _same_kind(p.phase, phase)]
    if not alike:
        return Reason.NEW
    mine = [s for s in alike if s.sender == phase.sender]
    if mine:
        return _reissue(phase, max(mine, key=lambda s: s.sent_at), now)
    return _copy(phase, alike)


def _same_kind(notified: Phase, phase: Phase) -> bool:
    """True when the two may be one danger; for a high-priority one only when the hazard is the
    same."""
    if phase.high_priority:
        return notified.hazard == phase.hazard
    return compatible(notified.hazard, phase.hazard)


def _update(
    phase: Phase, own: Past, belief: Mapping[Hashable, Past], rank: int, now: datetime
) -> Reason:
    """A later version of what the citizen knows."""
    notified = own.phase
    others = [p for thread, p in belief.items() if thread != phase.thread]
    if min([phase.severity.rank, *(p.phase.severity.rank for p in others)]) > rank:
        return Reason.EASED
    reason = (
        Reason.URGENCY if phase.urgency is not notified.urgency else _change(phase, notified, now)
    )
    said = reason in {Reason.URGENCY, Reason.RESPONSE} and any(
        _said_by_another(phase, notified, p.phase) for p in others
    )
    return _minor_change(phase, notified, now) if said else reason


def _said_by_another(phase: Phase, notified: Phase, other: Phase) -> bool:
    """True when another sender of the event has announced it since this sender's last alert."""
    return (
        other.sent_at > notified.sent_at
        and other.urgency is phase.urgency
        and other.responses >= phase.responses
    )


def _reissue(phase: Phase, notified: Phase, now: datetime) -> Reason:
    """The same sender issues a new alert about the event, without a reference."""
    urgencies = list(Urgency)
    if urgencies.index(phase.urgency) < urgencies.index(notified.urgency):
        return Reason.URGENCY
    return _change(phase, notified, now)


def _copy(phase: Phase, notified: Sequence[Phase]) -> Reason:
    """What is new in another sender's alert about a known danger. Its wording never counts: no two
    agencies use the same."""
    if (phase.responses & _ACTIVE) - frozenset().union(*(t.responses for t in notified)):
        return Reason.RESPONSE
    if _longer(phase, notified):
        return Reason.EXTENDED
    return Reason.TEXT_ONLY if phase.severity is Severity.EXTREME else Reason.COVERED


def _change(phase: Phase, notified: Phase, now: datetime) -> Reason:
    """What is new in a later alert of the same sender."""
    if phase.responses and phase.responses != notified.responses:
        return Reason.RESPONSE
    return _minor_change(phase, notified, now)


def _minor_change(phase: Phase, notified: Phase, now: datetime) -> Reason:
    """What is new apart from the response. Below Severe only a later end counts."""
    if phase.high_priority:
        if phase.language != notified.language or not reads_alike(notified.words, phase.words):
            return Reason.INSTRUCTION
        if (
            notified.onset_at is not None
            and now < notified.onset_at
            and _begins(phase) < notified.onset_at
        ):
            return Reason.ONSET
        if (phase.certainty in _SURE) is not (notified.certainty in _SURE):
            return Reason.CERTAINTY
    if _longer(phase, [notified]):
        return Reason.EXTENDED
    if _what_is_read(phase) == _what_is_read(notified):
        return Reason.IDENTICAL
    return Reason.TEXT_ONLY


def _what_is_read(phase: Phase) -> tuple[object, ...]:
    onset = phase.onset_at and _minute(phase.onset_at)
    return phase.text, _minute(phase.expires_at), onset, phase.certainty


def _longer(phase: Phase, notified: Sequence[Phase]) -> bool:
    """True when the end shown to the citizen, to the minute, is later."""
    return _minute(phase.expires_at) > max(_minute(t.expires_at) for t in notified)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _begins(phase: Phase) -> datetime:
    return phase.onset_at or phase.sent_at


def announced_soon(p: Past, phase: Phase, places: int) -> bool:
    """True for a newer alert that waits to announce an end at least as late."""
    return (
        (p.waits or p.open)
        and p.phase.high_priority
        and not p.phase.ends
        and p.phase.sent_at > phase.sent_at
        and p.phase.expires_at >= phase.expires_at
        and not places & ~p.places
    )


def repeated(
    phase: Phase,
    past: Sequence[Past],
    belief: Mapping[Hashable, Past],
    now: datetime,
    repeat: Repeat,
) -> bool:
    """True when a high-priority danger is announced again, some time after the last interruption.

    From its own sender that is a new alert (not an update) of an immediate danger. For Extreme, any
    alert of another sender counts, because nobody knows that both mean one danger.
    """
    interrupted = [p for p in past if p.notified and not p.silent and p.phase.thread in belief]
    if any(p.at > phase.sent_at and p.phase.sent_at > phase.sent_at for p in interrupted):
        return False  # it was deferred, and newer information was sent since
    mine = [p.at for p in interrupted if p.phase.sender == phase.sender]
    if mine and (phase.msg_type is not MsgType.ALERT or phase.urgency is not Urgency.IMMEDIATE):
        return False
    if phase.severity is Severity.EXTREME and not mine:
        after_s, interruptions = (
            min(repeat.extreme_s, _OTHERS_EXTREME_S),
            [p.at for p in interrupted],
        )
        return not interruptions or now - max(interruptions) >= timedelta(seconds=after_s)
    after_s = repeat.extreme_s if phase.severity is Severity.EXTREME else repeat.severe_s
    return phase.high_priority and bool(mine) and now - max(mine) >= timedelta(seconds=after_s)


def latest_announcement(notified: Sequence[Phase], now: datetime) -> datetime | None:
    """The latest time to announce a longer end; None for at once."""
    last = max(notified, key=lambda s: s.expires_at)
    at = last.expires_at - min(_BEFORE_END, (last.expires_at - last.sent_at) / 4)
    return at if at > now else None
