"""Which items of a citizen's digest are still worth sending when it is due."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Reason
from alerting.throttle.assess import INTERRUPTING, Past, Repeat, assess
from alerting.throttle.stage import Stage

#: Nothing that waits for a digest is severe enough to be repeated.
_NO_REPEAT = Repeat(float("inf"), float("inf"))

_ENDS = {
    AlertState.EXPIRED: Reason.EXPIRED,
    AlertState.SUPERSEDED: Reason.SUPERSEDED,
}


@dataclass(frozen=True, slots=True)
class Held:
    """One alert that waits for a citizen's digest.

    Attributes:
        state, expires_at: Of the alert as it is now.
        history: What the citizen knows of its event.
    """

    key: Hashable
    event: Hashable
    stage: Stage
    state: AlertState
    expires_at: datetime
    places: int
    history: Sequence[Past]


def sift(items: Sequence[Held], now: datetime) -> tuple[list[Held], list[tuple[Held, Reason]]]:
    """Select the items of one digest, the most severe and newest first; and say why the others are
    left out.

    Of a thread only the newest version is kept, of copies by several senders the most severe.
    """
    gone: list[tuple[Held, Reason]] = []
    newest: dict[Hashable, Held] = {}
    for item in sorted(items, key=lambda i: i.stage.sent_at):
        over = _over(item, now)
        if over is not None:
            gone.append((item, over))
            continue
        older = newest.get(item.stage.thread)
        if older is not None:
            gone.append((older, Reason.SUPERSEDED))
        newest[item.stage.thread] = item
    alive: list[Held] = []
    for item in sorted(newest.values(), key=_gravest_then_newest):
        reason = _news(item, alive, now)
        if reason is None:
            alive.append(item)
        else:
            gone.append((item, reason))
    return alive, gone


def _over(item: Held, now: datetime) -> Reason | None:
    if now >= min(item.expires_at, item.stage.valid_until):
        return Reason.EXPIRED
    return _ENDS.get(item.state, Reason.CANCELLED) if item.state in ENDED else None


def _news(item: Held, alive: Sequence[Held], now: datetime) -> Reason | None:
    """Why an item says nothing new beside what was told and what the digest already contains; None
    when it does."""
    told = [p for p in item.history if p.told or p.stage.ends]
    found = assess(item.stage, told, places=item.places, now=now, repeat=_NO_REPEAT).reason
    if found not in INTERRUPTING:
        return found
    beside = [
        Past(other.stage, other.places, told=True, silent=False, over=False, at=now)
        for other in alive
        if other.event == item.event
    ]
    found = assess(
        item.stage, [*told, *beside], places=item.places, now=now, repeat=_NO_REPEAT
    ).reason
    return found if found in {Reason.IDENTICAL, Reason.COVERED} else None


def _gravest_then_newest(item: Held) -> tuple[int, float]:
    return item.stage.severity.rank, -item.stage.sent_at.timestamp()
