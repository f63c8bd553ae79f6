"""A plan: the faults of a run and when each comes. Made from a seed alone, so that a run can be
repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

#: The worker groups of every run; a child is named `group/number`.
GROUPS = {"fast-1": "extreme,severe", "fast-2": "extreme,severe", "bulk": "routine,drill"}
SENDING = ("fast-1", "fast-2")

#: Between these shares of an alert faults strike: it has begun, and there is an end to be reached.
_FROM, _TO = 0.04, 0.88


class Kind(StrEnum):
    #: SIGKILL. An engine is started again when `for_s` is over, a process by its supervisor.
    KILL = "kill"
    #: SIGSTOP, and SIGCONT when `for_s` is over; of an engine with all its processes.
    STOP = "stop"
    #: SIGTERM to a process that is then started again; the next fault waits for that.
    RESTART = "restart"
    #: FLUSHALL.
    FLUSH = "flush"
    #: Every open connection through a proxy is reset.
    RESET = "reset"
    #: A proxy is put into the mode `how["mode"]` until `for_s` is over.
    NETWORK = "network"
    #: The carriers suffer `how`, as POST /sandbox/faults takes it, until `for_s` is over.
    CARRIERS = "carriers"
    #: The clocks of a worker group are put forward by `how["by_s"]` until `for_s` is over.
    CLOCK = "clock"
    #: The alert is cancelled by REST.
    CANCEL = "cancel"
    #: A second Extreme alert of another danger is submitted by REST.
    SUBMIT = "submit"
    #: The connections that show presence are ended every `how["every_s"]` until `for_s` is over.
    TERMINATE = "terminate"
    #: PostgreSQL's primary is ended, its standby promoted, and a new standby made: by SIGKILL
    #: where `how["name"]` is `failover`, cleanly where it is `switchover`.
    SWAP = "swap"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is injected once a share of the alert has gone out.

    Attributes:
        at: Share of the expected messages, 0 to 1, in the carriers' logs.
        for_s: Seconds until it is lifted; 0 for a fault that does not last.
    """

    at: float
    kind: Kind
    target: str
    for_s: float = 0.0
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Faults of one name are counted together: `kill worker`, `network stall redis`."""
        target = "worker" if "/" in self.target else self.target
        target = "workers" if target in GROUPS else target
        more = self.how.get("name") or self.how.get("mode")
        return " ".join(str(w) for w in (self.kind, more, target) if w)

    def to_json(self, expected: int) -> dict[str, Any]:
        return {
            "at": round(self.at * expected),
            "kind": self.kind.value,
            "target": self.target,
            "for_s": self.for_s,
            "how": dict(self.how),
        }


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be chosen about a plan.

    Attributes:
        workers: Children in a group.
    """

    kills: int = 50
    absent_s: float = 60.0
    workers: int = 2


def spread(dice: Random, count: int) -> Iterator[float]:
    """`count` moments in order, one in each of as many equal parts of the alert."""
    part = (_TO - _FROM) / max(1, count)
    for n in range(count):
        yield _FROM + part * (n + dice.uniform(0.1, 0.9))


def child(dice: Random, workers: int) -> str:
    """One of the worker children that send."""
    return f"{dice.choice(SENDING)}/{dice.randrange(workers)}"


def kills(dice: Random, parameters: Parameters) -> list[Fault]:
    """SIGKILL for every process, workers most often."""
    found = []
    for at in spread(dice, parameters.kills):
        target = dice.choices(
            ("worker", "group", "bulk", "api", "scheduler", "redis", "postgres"),
            (40, 18, 2, 10, 6, 12, 12),
        )[0]
        if target == "worker":
            target = child(dice, parameters.workers)
        elif target == "group":
            target = dice.choice(SENDING)
        found.append(Fault(at, Kind.KILL, target))
    return found
