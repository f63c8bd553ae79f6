"""The scenarios: each a plan made from a seed, and what has to hold above the usual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from alerting.chaos.plan import SENDING, Fault, Kind, Knobs, child, kills, spread
from alerting.chaos.system import PLACES
from alerting.domain.alert import Severity
from alerting.errors import BadInput

Plan = Callable[[Random, Knobs], list[Fault]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way of hurting the system.

    span_s: how long the alert is made to take, by slow carriers, so that the faults fall into it;
    longer where the knobs ask for more (`span_per_kill_s`, `span_per_absence`). proxied: places
    with a proxy before them. calm: what the carriers do all the time. silence_s: no longer may
    all carriers be without a message after a fault; None where that is not judged.
    settings: others than the usual ones. undoubled: not even a flagged duplicate may come.
    cancelled, receipts: what is judged above the usual. shifted: workers' clocks can be put
    forward. two_companies: SMS and mail have a second provider each, and there is no push.
    """

    sentence: str
    plan: Plan
    citizens: int
    span_s: float
    severity: Severity = Severity.EXTREME
    span_per_kill_s: float = 0.0
    span_per_absence: float = 0.0
    proxied: tuple[str, ...] = ()
    calm: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    silence_s: float | None = None
    undoubled: bool = False
    cancelled: bool = False
    receipts: bool = False
    shifted: bool = False
    two_companies: bool = False

    def span(self, knobs: Knobs) -> float:
        more = self.span_per_kill_s * knobs.kills + self.span_per_absence * knobs.absent_s
        return self.span_s + more


def _flush(dice: Random, _: Knobs) -> list[Fault]:
    return [Fault(at, Kind.FLUSH, "redis") for at in spread(dice, 10)]


def _no_redis(dice: Random, knobs: Knobs) -> list[Fault]:
    at = dice.uniform(0.15, 0.25)
    return [Fault(at, Kind.KILL, "redis", knobs.absent_s, {"name": "absent"})]


def _provider(dice: Random, knobs: Knobs) -> list[Fault]:
    every = ("sms", "email", "push")

    def storm(name: str, at: float, for_s: float, **faults: Any) -> Fault:
        return Fault(
            at, Kind.CARRIERS, "all", for_s, {"name": name, **dict.fromkeys(every, faults)}
        )

    at = list(spread(dice, 10))
    return [
        storm("429-storm", at[0], 6, rate_limit_per_s=20),
        Fault(at[1], Kind.KILL, child(dice, knobs.workers)),
        Fault(at[2], Kind.NETWORK, "http", 6, {"mode": "half-open"}),
        Fault(at[3], Kind.KILL, dice.choice(SENDING)),
        Fault(
            at[4],
            Kind.CARRIERS,
            "all",
            6,
            {
                "name": "5xx-storm",
                "sms": {"failure_rate": 1, "failure_status": 503},
                "push": {"failure_rate": 1, "failure_status": 503},
                "email": {"failure_rate": 1},
            },
        ),
        Fault(at[5], Kind.NETWORK, "smtp", 6, {"mode": "half-open"}),
        Fault(at[6], Kind.KILL, child(dice, knobs.workers)),
        storm("accept-then-drop", at[7], 4, ambiguous_rate=0.5),
        Fault(at[8], Kind.NETWORK, "http", 1, {"mode": "drop"}),
        Fault(at[9], Kind.NETWORK, "http", 3, {"mode": "refuse"}),
    ]


def _failover(dice: Random, knobs: Knobs) -> list[Fault]:
    """Only the first of two companies is hurt."""

    def ill(at: float, name: str, sms: dict[str, Any], email: dict[str, Any]) -> Fault:
        return Fault(at, Kind.CARRIERS, "first", 5, {"name": name, "sms": sms, "email": email})

    at = list(spread(dice, 9))
    slow, fails, drops = {"rate_limit_per_s": 5}, {"failure_rate": 1}, {"ambiguous_rate": 0.5}
    return [
        Fault(at[0], Kind.NETWORK, "http", 5, {"mode": "refuse"}),
        ill(at[1], "429-storm", slow, slow),
        Fault(at[2], Kind.KILL, child(dice, knobs.workers)),
        ill(at[3], "5xx-storm", fails, fails),
        Fault(at[4], Kind.NETWORK, "http", 5, {"mode": "half-open"}),
        Fault(at[5], Kind.NETWORK, "smtp", 5, {"mode": "refuse"}),
        Fault(at[6], Kind.KILL, dice.choice(SENDING)),
        ill(at[7], "accept-then-drop", drops, drops),
        Fault(at[8], Kind.NETWORK, "smtp", 5, {"mode": "half-open"}),
    ]


def _cancel(dice: Random, _: Knobs) -> list[Fault]:
    return [Fault(dice.uniform(0.08, 0.16), Kind.CANCEL, "alert")]


def _zombie(dice: Random, knobs: Knobs) -> list[Fault]:
    return [Fault(at, Kind.STOP, child(dice, knobs.workers), 8) for at in spread(dice, 5)]


def _network(dice: Random, _: Knobs) -> list[Fault]:
    faults = [(Kind.RESET, place, 0.0, "") for place in PLACES]
    faults += [(Kind.NETWORK, place, 3.0, "stall") for place in PLACES]
    faults += [(Kind.NETWORK, place, 1.0, "drop") for place in ("redis", "database", "http")]
    faults += [(Kind.NETWORK, place, 3.0, "half-open") for place in ("redis", "smtp", "http")]
    faults += [(Kind.NETWORK, place, 2.0, "refuse") for place in PLACES]
    dice.shuffle(faults)
    # Last, for connections left half-open stay so until somebody notices.
    faults.append((Kind.NETWORK, "database", 3.0, "half-open"))
    return [
        Fault(at, kind, place, for_s, {"mode": mode} if mode else {})
        for at, (kind, place, for_s, mode) in zip(spread(dice, len(faults)), faults, strict=True)
    ]


def _receipts(dice: Random, _: Knobs) -> list[Fault]:
    targets = ["api", "postgres", "api", "scheduler", "api"]
    return [
        Fault(at, Kind.KILL, target)
        for at, target in zip(spread(dice, len(targets)), targets, strict=True)
    ]


def _restart(dice: Random, _: Knobs) -> list[Fault]:
    turn = ["fast-1", "fast-2", "bulk", "scheduler", "api", "fast-1", "fast-2"]
    return [
        Fault(at, Kind.RESTART, name)
        for at, name in zip(spread(dice, len(turn)), turn, strict=True)
    ]


def _clock(dice: Random, _: Knobs) -> list[Fault]:
    steps = (5.0, -5.0, 120.0, -120.0, 1.0, 3600.0)
    return [
        Fault(at, Kind.CLOCK, SENDING[0], 5, {"by_s": by_s})
        for at, by_s in zip(spread(dice, len(steps)), steps, strict=True)
    ]


def _short(dice: Random, knobs: Knobs) -> list[Fault]:
    """Something of everything that ends quickly."""
    faults: list[tuple[Kind, str, float, dict[str, Any]]] = [
        (Kind.KILL, child(dice, knobs.workers), 0.0, {}),
        (Kind.FLUSH, "redis", 0.0, {}),
        (Kind.KILL, "postgres", 0.0, {}),
        (Kind.KILL, dice.choice(SENDING), 0.0, {}),
        (Kind.RESET, "http", 0.0, {}),
        (Kind.KILL, "redis", 2.0, {"name": "absent"}),
        (Kind.NETWORK, "database", 2.0, {"mode": "stall"}),
        (Kind.STOP, child(dice, knobs.workers), 7.0, {}),
        (Kind.KILL, "api", 0.0, {}),
        (Kind.CARRIERS, "all", 2.0, {"name": "429-storm", "sms": {"rate_limit_per_s": 20}}),
        (Kind.KILL, "scheduler", 0.0, {}),
        (Kind.RESTART, dice.choice(SENDING), 0.0, {}),
    ]
    dice.shuffle(faults)
    return [
        Fault(at, kind, target, for_s, how)
        for at, (kind, target, for_s, how) in zip(spread(dice, len(faults)), faults, strict=True)
    ]


SCENARIOS: dict[str, Scenario] = {
    "kills": Scenario(
        "kill -9 of workers, API, scheduler, Redis and PostgreSQL", kills,
        citizens=100_000, span_s=10, span_per_kill_s=1.5,
    ),
    "flush": Scenario(
        "Redis is emptied ten times", _flush, citizens=20_000, span_s=20, undoubled=True,
    ),
    "no-redis": Scenario(
        "Redis is gone for a minute", _no_redis,
        citizens=30_000, span_s=15, span_per_absence=1.5, silence_s=2.0,
    ),
    "provider": Scenario(
        "providers swallow, refuse, fail and hang up", _provider,
        citizens=20_000, span_s=50, proxied=("http", "smtp"),
    ),
    "failover": Scenario(
        "the first of two providers swallows, refuses, fails and hangs up", _failover,
        citizens=20_000, span_s=45, proxied=("http", "smtp"), two_companies=True,
    ),
    "cancel": Scenario(
        "the alert is cancelled in flight", _cancel,
        citizens=100_000, span_s=20, undoubled=True, cancelled=True,
    ),
    "zombie": Scenario(
        "workers are stopped past their lease and go on later", _zombie,
        citizens=10_000, span_s=50, settings={"lease_s": 4.0},
    ),
    "network": Scenario(
        "resets, stalls, silence and lost answers between all parts", _network,
        citizens=10_000, span_s=70, proxied=PLACES, settings={"lease_s": 10.0},
    ),
    "receipts": Scenario(
        "receipts come late, doubled and in the wrong order while their takers die", _receipts,
        citizens=10_000, span_s=20, severity=Severity.SEVERE, receipts=True,
        calm={
            "sms": {
                "callback_delay_ms": 1500, "callback_jitter_ms": 3000,
                "callback_duplicate_rate": 0.3, "callback_reorder_rate": 0.3,
                "undelivered_rate": 0.05,
            }
        },
    ),
    "restart": Scenario(
        "a rolling restart under load", _restart,
        citizens=20_000, span_s=50, undoubled=True,
    ),
    "clock": Scenario(
        "clocks of a worker group step forward and back", _clock,
        citizens=10_000, span_s=40, shifted=True, undoubled=True,
    ),
    "short": Scenario(
        "something of everything, for every change", _short,
        citizens=4_000, span_s=30, proxied=("http", "database"), settings={"lease_s": 5.0},
    ),
}  # fmt: skip


def find(name: str) -> Scenario:
    """Raises BadInput naming those there are."""
    if name not in SCENARIOS:
        raise BadInput(
            f"There is no scenario {name!r}.", remedy=f"Choose from {', '.join(SCENARIOS)}."
        )
    return SCENARIOS[name]
