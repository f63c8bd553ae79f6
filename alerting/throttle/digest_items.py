"""Which items of a citizen's digest are still worth sending when it is due."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Reason
from alerting.throttle.assess import INTERRUPTING, assess
from alerting.throttle.belief import Past
from alerting.throttle.news import Repeat
from alerting.throttle.phase import Phase

#: Nothing that waits for a digest is severe enough to be repeated.
_NO_REPEAT = Repeat(float("inf"), float("inf"))

_ENDS = {
    AlertState.EXPIRED: Reason.EXPIRED,
    AlertState.SUPERSEDED: Reason.SUPERSEDED,
}


@dataclass(frozen=True, slots=True)
class HeldItem:
    """One alert that waits for a citizen's digest.

    Attributes:
        state, expires_at: Of the alert as it is now.
        history: What the citizen knows of its event.
    """

    key: Hashable
    event: Hashable
    phase: Phase
    state: AlertState
    expires_at: datetime
    places: int
    history: Sequence[Past]


def select_items(
    items: Sequence[HeldItem], now: datetime
) -> tuple[list[HeldItem], list[tuple[HeldItem, Reason]]]:
    """Select the items of one digest, the most severe and newest first; and say why the others are
    left out.

    Of a thread only the newest version is kept, of copies by several senders the most severe.
    """
    gone: list[tuple[HeldItem, Reason]] = []
    newest: dict[Hashable, HeldItem] = {}
    for item in sorted(items, key=lambda i: i.phase.sent_at):
        over = _over(item, now)
        if over is not None:
            gone.append((item, over))
            continue
        older = newest.get(item.phase.thread)
        if older is not None:
            gone.append((older, Reason.SUPERSEDED))
        newest[item.phase.thread] = item
    alive: list[HeldItem] = []
    for item in sorted(newest.values(), key=_most_severe_then_newest):
        reason = _news(item, alive, now)
        if reason is None:
            alive.append(item)
        else:
            gone.append((item, reason))
    return alive, gone


def _over(item: HeldItem, now: datetime) -> Reason | None:
    if now >= min(item.expires_at, item.phase.valid_until):
        return Reason.EXPIRED
    return _ENDS.get(item.state, Reason.CANCELLED) if item.state in ENDED else None


def _news(item: HeldItem, alive: Sequence[HeldItem], now: datetime) -> Reason | None:
    """Why an item says nothing new beside earlier notifications and the rest of the digest; None
    when it does."""
    notified = [p for p in item.history if p.notified or p.phase.ends]
    found = assess(item.phase, notified, places=item.places, now=now, repeat=_NO_REPEAT).reason
    if found not in INTERRUPTING:
        return found
    beside = [
        Past(other.phase, other.places, notified=True, silent=False, over=False, at=now)
        for other in alive
        if other.event == item.event
    ]
    found = assess(
        item.phase, [*notified, *beside], places=item.places, now=now, repeat=_NO_REPEAT
    ).reason
    return found if found in {Reason.IDENTICAL, Reason.COVERED} else None


def _most_severe_then_newest(item: HeldItem) -> tuple[int, float]:
    return item.phase.severity.rank, -item.phase.sent_at.timestamp()
