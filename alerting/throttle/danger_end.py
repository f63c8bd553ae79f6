"""Whether the end of a danger is announced to a citizen now, later or never."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from alerting.domain.decision import Reason
from alerting.throttle.belief import Past, others_in_force, unended
from alerting.throttle.phase import Phase

#: When an end is evaluated again that waits for a provider call in progress.
_SOON = timedelta(seconds=1)


def end_of_danger(
    phase: Phase, past: Sequence[Past], places: int, now: datetime
) -> tuple[Reason, datetime | None]:
    """How the end of a danger concerns the citizen, and until when it waits.

    A citizen who was notified of a danger is notified of its end once, when no alert of it is in
    force. Until then the end waits: one danger ends once, however many alerts announced it. Only
    the end of something more severe than everything still in force is announced at once.

    Args:
        past: Other alerts of the event, oldest first.
        places: The citizen's places that the end covers, as bits.
    """
    if any(p.open and p.phase.thread == phase.thread and _earlier_danger(p, phase) for p in past):
        return Reason.ON_ITS_WAY, now + _SOON
    known = unended(past)
    if not known:
        if any(p.waits and not p.phase.ends for p in past):
            return Reason.OVER, None
        notified = any(p.notified for p in past)
        return (Reason.ALREADY_ENDED if notified else Reason.NEVER_TOLD), None
    in_force = _still_in_force(phase, past, places, now)
    if not in_force:
        return Reason.ENDED, None
    own = [p.phase.severity.rank for p in known if p.phase.thread == phase.thread]
    if own and min(own) < min(p.phase.severity.rank for p in in_force):
        return Reason.PARTLY_ENDED, None
    return Reason.GOES_ON, min(p.phase.expires_at for p in in_force)


def _still_in_force(phase: Phase, past: Sequence[Past], places: int, now: datetime) -> list[Past]:
    """The alerts that an end does not end and that still cover the citizen, whether notified of
    them or not.

    The newest phase of each other thread; a version of the end's own thread of the same instant or
    later; an earlier one that continues at a place of theirs which the end does not cover.
    """
    own = [p for p in past if p.phase.thread == phase.thread]
    later = [p for p in own if p.phase.sent_at >= phase.sent_at][-1:]
    elsewhere = [
        p for p in own if _earlier_danger(p, phase) and not p.replaced and p.places & ~places
    ]
    return [
        *(p for p in later + elsewhere if _is_in_force(p, now)),
        *others_in_force(past, but=phase.thread, at=now),
    ]


def _earlier_danger(p: Past, phase: Phase) -> bool:
    return not p.phase.ends and p.phase.sent_at < phase.sent_at


def _is_in_force(p: Past, now: datetime) -> bool:
    return not p.phase.ends and not p.over and p.phase.expires_at > now
