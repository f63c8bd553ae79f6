"""What of a citizen's digest is still worth sending when its time has come."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime

from alerting.domain.alert_state import ENDED
from alerting.replay.delivery import Outcome
from alerting.replay.memory import Memory
from alerting.replay.waiting import Pending
from alerting.throttle.assess import INTERRUPTING, Repeat, assess

#: Nothing that waits for a digest is grave enough to be repeated.
_NO_REPEAT = Repeat(float("inf"), float("inf"))


def sift(
    items: Sequence[Pending], memory: Memory, now: datetime
) -> tuple[list[Pending], list[tuple[Pending, Outcome]]]:
    """The items that go into the digest, one for each event, and how the others ended."""
    gone: list[tuple[Pending, Outcome]] = []
    newest: dict[Hashable, Pending] = {}
    for p in sorted(items, key=lambda p: p.source.alert.sent):
        if now >= p.delivery.expires_at:
            gone.append((p, Outcome.EXPIRED))
        elif p.source.state in ENDED:
            gone.append((p, Outcome.SUPERSEDED))
        else:
            older = newest.get(p.source.event)
            if older is not None:
                gone.append((older, Outcome.SUPERSEDED))
            newest[p.source.event] = p
    alive = []
    for p in newest.values():
        history, _ = memory.known(p.delivery.citizen, p.source, now)
        told = [past for past in history if past.told or past.stage.ends]
        found = assess(p.entry.stage, told, places=p.entry.places, now=now, repeat=_NO_REPEAT)
        if found.reason in INTERRUPTING:
            alive.append(p)
        else:
            gone.append((p, Outcome.DROPPED))
    return alive, gone
