"""How far a row of work (a plan, or a chunk) has come, and the one table its state moves along."""

from __future__ import annotations

from enum import StrEnum


class WorkState(StrEnum):
    #: It waits for a worker.
    READY = "ready"
    #: A worker holds it until its lease runs out.
    LEASED = "leased"
    #: Nothing of it is left to do. Without its time (`done_at`) it was stopped, and what it has not
    #: sent is still to be revoked.
    DONE = "done"
    #: It ended its workers again and again and was set aside.
    POISONED = "poisoned"


W = WorkState

#: Every move there is.
TRANSITIONS: dict[WorkState, frozenset[WorkState]] = {
    # DONE without having been claimed when its alert ended.
    W.READY: frozenset({W.LEASED, W.DONE}),
    # READY again with something left, after a fault, or when its worker is gone.
    W.LEASED: frozenset({W.READY, W.DONE, W.POISONED}),
    W.DONE: frozenset(),
    W.POISONED: frozenset(),
}
del W
