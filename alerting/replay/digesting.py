"""What of a citizen's digest is still worth sending when its time has come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from alerting.domain.decision import Reason
from alerting.replay.delivery import Outcome
from alerting.replay.memory import Memory
from alerting.replay.waiting import Pending
from alerting.throttle.digest_items import HeldItem
from alerting.throttle.digest_items import select_items as sift_held

_OUTCOMES = {
    Reason.EXPIRED: Outcome.EXPIRED,
    Reason.SUPERSEDED: Outcome.SUPERSEDED,
    Reason.CANCELLED: Outcome.SUPERSEDED,
}


def select_items(
    items: Sequence[Pending], memory: Memory, now: datetime
) -> tuple[list[Pending], list[tuple[Pending, Outcome]]]:
    """The items that go into the digest, and how the others ended."""
    held = {
        n: HeldItem(
            key=n,
            event=p.source.event,
            phase=p.entry.phase,
            state=p.source.state,
            expires_at=p.expires_at,
            places=p.entry.places,
            history=memory.known(p.delivery.citizen, p.source, now)[0],
        )
        for n, p in enumerate(items)
    }
    alive, gone = sift_held(list(held.values()), now)
    numbers = {id(h): n for n, h in held.items()}
    return (
        [items[numbers[id(h)]] for h in alive],
        [(items[numbers[id(h)]], _OUTCOMES.get(r, Outcome.DROPPED)) for h, r in gone],
    )
