"""Assess: what an alert changes for one citizen, given what they were told of its event.

What counts is the citizen's belief, not what was sent to others: a danger they were told of that
has neither ended for them nor expired. An alert interrupts when it changes that belief. Copies,
repetitions and new wording do not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.domain.alert import Certainty, MsgType, ResponseType, Severity, Urgency
from alerting.domain.decision import Reason
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

#: When an end is evaluated again that waits for a provider call in progress.
_SOON = timedelta(seconds=1)

#: Certainties of a danger that is there or will come.
_SURE = frozenset({Certainty.OBSERVED, Certainty.LIKELY})

#: Citizens learn that a danger lasts longer at most this long before the end they were told.
_BEFORE_END = timedelta(minutes=15)

#: After an Extreme interruption, another sender's alert about it is silent for this long.
_OTHERS_EXTREME_S = 300.0

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
class Past:
    """One earlier alert of the event that concerned the citizen.

    Attributes:
        places: Which of their places it covered, as bits.
        notified: It reached them or may have; otherwise it was withheld, and still says that a
        danger
            covers them.
        silent: It reached them without interrupting.
        over: It was cancelled, or replaced by an end.
        at: When it was decided.
        waits: It was deferred and may yet reach them.
        sure: They certainly received it.
        open: A provider may be called for it at this moment.
        replaced: A later version covers everybody whom it concerned.
        over_at: Since when it is over; None when it is not, or nobody knows.
        partly: It is an end, told while another alert of the event was still in force.
    """

    phase: Phase
    places: int
    notified: bool
    silent: bool
    over: bool
    at: datetime
    waits: bool = False
    sure: bool = True
    open: bool = False
    replaced: bool = False
    over_at: datetime | None = None
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """After how long a new alert with the same content interrupts again, by its severity."""

    extreme_s: float
    severe_s: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an alert means to a citizen.

    Attributes:
        weight: The severity that decides whether it may interrupt; for an end, that of its danger.
        before, after: The citizen's belief in words: `none`, `active Severe Immediate Shelter`,
            `ended`, `expired`.
        until: How long it can wait: an end while another alert is in force, an extension until
            shortly before the end that the citizen was told.
    """

    reason: Reason
    weight: Severity
    before: str
    after: str
    until: datetime | None = None


def assess(
    phase: Phase, history: Sequence[Past], *, places: int, now: datetime, repeat: Repeat
) -> Assessment:
    """What `stage` means to a citizen with this `history` of the same event.

    Args:
        history: Other alerts of the event, in any order.
        places: The citizen's places in its area.
    """
    past = sorted(history, key=lambda p: (p.phase.sent_at, p.at))
    belief = _belief(past, now)
    # What an end ends is over by now; the citizen still believes in it.
    before = _label(_belief(past, now, over=True) if phase.ends else belief, past)
    until: datetime | None = None
    if phase.ends:
        reason, until = _ending(phase, past, places, now)
    else:
        reason = _danger(phase, past, belief, places, now)
        if reason in _NOTHING_NEW and phase.tell_again:
            reason = Reason.INSISTED
        elif reason in _NOTHING_NEW and any(_will_say(p, phase, places) for p in past):
            reason = Reason.SUPERSEDED
        elif reason in _NOTHING_NEW and _again(phase, past, belief, now, repeat):
            reason = Reason.REPEATED
        if reason is Reason.EXTENDED:
            until = _before_the_end([p.phase for p in belief.values()], now)
    after = _after(reason, before, phase, belief)
    return Assessment(reason, _weight(phase, past), before, after, until)


def overtaken(
    phase: Phase, history: Sequence[Past], *, places: int, now: datetime
) -> tuple[Reason, datetime | None] | None:
    """Why an alert decided earlier no longer holds for a citizen; None when it does.

    For deliveries by the next channel, minutes after the decision. The instant is that of
    `Assessment.until`.
    """
    past = sorted(history, key=lambda p: (p.phase.sent_at, p.at))
    if phase.ends:
        reason, until = _ending(phase, past, places, now)
        return (reason, until) if reason in _OVERTAKEN else None
    for p in past:
        if p.phase.thread != phase.thread or p.phase.sent_at <= phase.sent_at:
            continue
        if p.phase.ends and not (p.places and places & ~p.places):
            return Reason.SUPERSEDED, None
        if not p.phase.ends and (p.notified or p.open):
            return Reason.SUPERSEDED, None
    return None


def _belief(past: Sequence[Past], now: datetime, *, over: bool = False) -> dict[Hashable, Past]:
    """For each thread the latest step the citizen was told of, when it is still in force.

    Args:
        over: Include those that have ended meanwhile.
    """
    latest = {p.phase.thread: p for p in _unended(past)}
    return {
        thread: p
        for thread, p in latest.items()
        if (over or not p.over) and p.phase.expires_at > now
    }


def _ending(
    phase: Phase, past: Sequence[Past], places: int, now: datetime
) -> tuple[Reason, datetime | None]:
    """A citizen who was told of a danger is told once that it is over, when no alert of it is in
    force.

    Until then the end waits: one danger ends once, however many alerts announced it. Only the end
    of something more severe than everything still in force is announced at once.
    """
    if any(p.open and p.phase.thread == phase.thread and _before(p, phase) for p in past):
        return Reason.ON_ITS_WAY, now + _SOON
    unended = _unended(past)
    if not unended:
        if any(p.waits and not p.phase.ends for p in past):
            return Reason.OVER, None
        notified = any(p.notified for p in past)
        return (Reason.ALREADY_ENDED if notified else Reason.NEVER_TOLD), None
    standing = _standing(phase, past, places, now)
    if not standing:
        return Reason.ENDED, None
    mine = [p.phase.severity.rank for p in unended if p.phase.thread == phase.thread]
    if mine and min(mine) < min(p.phase.severity.rank for p in standing):
        return Reason.PARTLY_ENDED, None
    return Reason.GOES_ON, min(p.phase.expires_at for p in standing)


def _before(p: Past, phase: Phase) -> bool:
    return not p.phase.ends and p.phase.sent_at < phase.sent_at


def _standing(phase: Phase, past: Sequence[Past], places: int, now: datetime) -> list[Past]:
    """The alerts that an end does not end and that still cover the citizen, told or not.

    The newest step of each other thread; a version of the end's own thread of the same instant or
    later; an earlier one that continues at a place of theirs which the end does not cover.
    """
    own = [p for p in past if p.phase.thread == phase.thread]
    later = [p for p in own if p.phase.sent_at >= phase.sent_at][-1:]
    elsewhere = [p for p in own if _before(p, phase) and not p.replaced and p.places & ~places]
    return [
        *(p for p in later + elsewhere if _holds(p, now)),
        *_live(past, but=phase.thread, at=now),
    ]


def _holds(p: Past, now: datetime) -> bool:
    return not p.phase.ends and not p.over and p.phase.expires_at > now


def _unended(past: Sequence[Past]) -> list[Past]:
    """What the citizen was told of and has not been told is over.

    An end that came while other alerts of the event were in force ended its own thread only.
    """
    notified: list[Past] = []
    for p in past:
        if not p.notified:
            continue
        if not p.phase.ends:
            notified.append(p)
        elif p.partly or _live(past, but=p.phase.thread, at=p.at, sent_by=p.phase.sent_at):
            notified = [t for t in notified if t.phase.thread != p.phase.thread]
        else:
            notified = []
    return notified


def _live(
    past: Sequence[Past], *, but: Hashable, at: datetime, sent_by: datetime | None = None
) -> list[Past]:
    """The newest step of each other thread that is in force: told or not, it covers the citizen.

    Args:
        sent_by: As it was when that was sent; an alert cancelled since may have been in force then.
    """
    newest = {p.phase.thread: p for p in past if sent_by is None or p.phase.sent_at <= sent_by}
    return [
        p
        for thread, p in newest.items()
        if thread != but
        and not p.phase.ends
        and p.phase.expires_at > at
        and not (p.over and (sent_by is None or (p.over_at is not None and p.over_at <= at)))
    ]


def _danger(
    phase: Phase,
    past: Sequence[Past],
    belief: Mapping[Hashable, Past],
    places: int,
    now: datetime,
) -> Reason:
    if any(p.phase.thread == phase.thread and p.phase.sent_at > phase.sent_at for p in past):
        return Reason.SUPERSEDED
    if not belief:
        return Reason.NEW
    rank = _most_severe(belief.values()).severity.rank
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
        _said(phase, notified, p.phase) for p in others
    )
    return _lesser_change(phase, notified, now) if said else reason


def _said(phase: Phase, notified: Phase, other: Phase) -> bool:
    """True when another sender of the event has said it since this one last spoke."""
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


def _change(phase: Phase, notified: Phase, now: datetime) -> Reason:
    """What a sender says now that the citizen had not been told."""
    if phase.responses and phase.responses != notified.responses:
        return Reason.RESPONSE
    return _lesser_change(phase, notified, now)


def _lesser_change(phase: Phase, notified: Phase, now: datetime) -> Reason:
    """The same, apart from what to do. For a danger below Severe only a longer one is news."""
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


def _will_say(p: Past, phase: Phase, places: int) -> bool:
    """True for a newer alert that waits to announce an end at least as late."""
    return (
        (p.waits or p.open)
        and p.phase.high_priority
        and not p.phase.ends
        and p.phase.sent_at > phase.sent_at
        and p.phase.expires_at >= phase.expires_at
        and not places & ~p.places
    )


def _what_is_read(phase: Phase) -> tuple[object, ...]:
    onset = phase.onset_at and _minute(phase.onset_at)
    return phase.text, _minute(phase.expires_at), onset, phase.certainty


def _longer(phase: Phase, notified: Sequence[Phase]) -> bool:
    """True when the end shown to the citizen, to the minute, is later."""
    return _minute(phase.expires_at) > max(_minute(t.expires_at) for t in notified)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _before_the_end(notified: Sequence[Phase], now: datetime) -> datetime | None:
    """The latest time to announce a longer end; None for at once."""
    last = max(notified, key=lambda s: s.expires_at)
    at = last.expires_at - min(_BEFORE_END, (last.expires_at - last.sent_at) / 4)
    return at if at > now else None


def _begins(phase: Phase) -> datetime:
    return phase.onset_at or phase.sent_at


def _copy(phase: Phase, notified: Sequence[Phase]) -> Reason:
    """Another sender's alert about a known danger; no two agencies use the same words."""
    if (phase.responses & _ACTIVE) - frozenset().union(*(t.responses for t in notified)):
        return Reason.RESPONSE
    if _longer(phase, notified):
        return Reason.EXTENDED
    return Reason.TEXT_ONLY if phase.severity is Severity.EXTREME else Reason.COVERED


def _again(
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


def _weight(phase: Phase, past: Sequence[Past]) -> Severity:
    """An end has the last weight of its danger: citizens woken for the danger may be woken for its
    end."""
    if not phase.ends:
        return phase.severity
    latest = {p.phase.thread: p.phase.severity for p in _unended(past)}
    return min([phase.severity, *latest.values()], key=lambda s: s.rank)


def _most_severe(rows: Iterable[Past]) -> Phase:
    return min((p.phase for p in rows), key=lambda s: (s.severity.rank, -s.sent_at.timestamp()))


def _label(belief: Mapping[Hashable, Past], past: Sequence[Past]) -> str:
    if belief:
        return _active(_most_severe(belief.values()))
    notified = [p for p in past if p.notified]
    if not notified:
        return "none"
    return "ended" if notified[-1].phase.ends else "expired"


def _after(reason: Reason, before: str, phase: Phase, belief: Mapping[Hashable, Past]) -> str:
    if reason is Reason.ENDED:
        return "ended"
    if reason is Reason.PARTLY_ENDED:
        rest = [p for thread, p in belief.items() if thread != phase.thread]
        return _active(_most_severe(rest)) if rest else "ended"
    if reason not in INTERRUPTING | {Reason.TEXT_ONLY, Reason.EXTENDED}:
        return before  # a danger that was over before it was told of leaves no belief behind
    others = [p.phase for thread, p in belief.items() if thread != phase.thread]
    return _active(min([phase, *others], key=lambda s: s.severity.rank))


def _active(phase: Phase) -> str:
    responses = "+".join(sorted(phase.responses))
    return " ".join(["active", phase.severity, phase.urgency, *([responses] if responses else [])])
