"""The faults of each scenario, and when they come. Chance decides what the scenario leaves open."""

from __future__ import annotations

from random import Random
from typing import Any

from lab.chaos.plan import SENDING, Fault, Kind, Parameters, child, spread
from lab.chaos.system import PLACES


def flush(dice: Random, _: Parameters) -> list[Fault]:
    return [Fault(at, Kind.FLUSH, "redis") for at in spread(dice, 10)]


def no_redis(dice: Random, parameters: Parameters) -> list[Fault]:
    at = dice.uniform(0.15, 0.25)
    return [Fault(at, Kind.KILL, "redis", parameters.absent_s, {"name": "absent"})]


def provider(dice: Random, parameters: Parameters) -> list[Fault]:
    every = ("sms", "email", "push")

    def storm(name: str, at: float, for_s: float, **faults: Any) -> Fault:
        return Fault(
            at, Kind.CARRIERS, "all", for_s, {"name": name, **dict.fromkeys(every, faults)}
        )

    at = list(spread(dice, 10))
    return [
        storm("429-storm", at[0], 6, rate_limit_per_s=20),
        Fault(at[1], Kind.KILL, child(dice, parameters.workers)),
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
        Fault(at[6], Kind.KILL, child(dice, parameters.workers)),
        storm("accept-then-drop", at[7], 4, ambiguous_rate=0.5),
        Fault(at[8], Kind.NETWORK, "http", 1, {"mode": "drop"}),
        Fault(at[9], Kind.NETWORK, "http", 3, {"mode": "refuse"}),
    ]


def failover(dice: Random, parameters: Parameters) -> list[Fault]:
    """Faults of the first of two companies only."""

    def ill(at: float, name: str, sms: dict[str, Any], email: dict[str, Any]) -> Fault:
        return Fault(at, Kind.CARRIERS, "first", 5, {"name": name, "sms": sms, "email": email})

    at = list(spread(dice, 9))
    slow, fails, drops = {"rate_limit_per_s": 5}, {"failure_rate": 1}, {"ambiguous_rate": 0.5}
    return [
        Fault(at[0], Kind.NETWORK, "http", 5, {"mode": "refuse"}),
        ill(at[1], "429-storm", slow, slow),
        Fault(at[2], Kind.KILL, child(dice, parameters.workers)),
        ill(at[3], "5xx-storm", fails, fails),
        Fault(at[4], Kind.NETWORK, "http", 5, {"mode": "half-open"}),
        Fault(at[5], Kind.NETWORK, "smtp", 5, {"mode": "refuse"}),
        Fault(at[6], Kind.KILL, dice.choice(SENDING)),
        ill(at[7], "accept-then-drop", drops, drops),
        Fault(at[8], Kind.NETWORK, "smtp", 5, {"mode": "half-open"}),
    ]


def cancel(dice: Random, _: Parameters) -> list[Fault]:
    return [Fault(dice.uniform(0.08, 0.16), Kind.CANCEL, "alert")]


def zombie(dice: Random, parameters: Parameters) -> list[Fault]:
    return [Fault(at, Kind.STOP, child(dice, parameters.workers), 8) for at in spread(dice, 5)]


def network(dice: Random, _: Parameters) -> list[Fault]:
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


def receipts(dice: Random, _: Parameters) -> list[Fault]:
    targets = ["api", "postgres", "api", "scheduler", "api"]
    return [
        Fault(at, Kind.KILL, target)
        for at, target in zip(spread(dice, len(targets)), targets, strict=True)
    ]


def restart(dice: Random, _: Parameters) -> list[Fault]:
    order = ["fast-1", "fast-2", "bulk", "scheduler", "api", "fast-1", "fast-2"]
    return [
        Fault(at, Kind.RESTART, name)
        for at, name in zip(spread(dice, len(order)), order, strict=True)
    ]


def clock(dice: Random, _: Parameters) -> list[Fault]:
    steps = (5.0, -5.0, 120.0, -120.0, 1.0, 3600.0)
    return [
        Fault(at, Kind.CLOCK, SENDING[0], 5, {"by_s": by_s})
        for at, by_s in zip(spread(dice, len(steps)), steps, strict=True)
    ]


def redis_stopped(dice: Random, _: Parameters) -> list[Fault]:
    """The second alert is sent while Redis is stopped."""
    stops = [Fault(at, Kind.STOP, "redis", dice.uniform(4, 6)) for at in spread(dice, 4)]
    with_second = dice.randrange(len(stops))
    return [
        *stops[: with_second + 1],
        Fault(stops[with_second].at, Kind.SUBMIT, "alert"),
        *stops[with_second + 1 :],
    ]


def postgres_stopped(dice: Random, _: Parameters) -> list[Fault]:
    """For less than any timeout, for longer than presence's, for longer than any."""
    seconds = [dice.uniform(1, 3), dice.uniform(6, 8), dice.uniform(13, 15)]
    dice.shuffle(seconds)
    return [
        Fault(at, Kind.STOP, "postgres", for_s)
        for at, for_s in zip(spread(dice, len(seconds)), seconds, strict=True)
    ]


def presence(dice: Random, _: Parameters) -> list[Fault]:
    """Once, and as fast as they come back, alternately."""
    again = {"name": "again and again", "every_s": 0.3}
    once = {"name": "once", "every_s": 0.1}
    return [
        Fault(at, Kind.TERMINATE, "presence", 4.0 if n % 3 else 0.0, again if n % 3 else once)
        for n, at in enumerate(spread(dice, 6))
    ]


def swap(dice: Random, _: Parameters) -> list[Fault]:
    names = ["failover", "switchover"]
    dice.shuffle(names)
    return [
        Fault(at, Kind.SWAP, "postgres", how={"name": name})
        for at, name in zip(spread(dice, len(names)), names, strict=True)
    ]


def silent_provider(dice: Random, _: Parameters) -> list[Fault]:
    """The mail relay, then SMS, for longer than a call waits for its answer."""
    dead = {"latency_ms": 600_000}
    return [
        Fault(
            dice.uniform(at, at + 0.05),
            Kind.CARRIERS,
            "all",
            dice.uniform(11, 13),
            {"name": f"silent {channel}", channel: dead},
        )
        for at, channel in ((0.06, "email"), (0.5, "sms"))
    ]


def short(dice: Random, parameters: Parameters) -> list[Fault]:
    """One fault of each kind that ends quickly."""
    faults: list[tuple[Kind, str, float, dict[str, Any]]] = [
        (Kind.KILL, child(dice, parameters.workers), 0.0, {}),
        (Kind.FLUSH, "redis", 0.0, {}),
        (Kind.KILL, "postgres", 0.0, {}),
        (Kind.KILL, dice.choice(SENDING), 0.0, {}),
        (Kind.RESET, "http", 0.0, {}),
        (Kind.KILL, "redis", 2.0, {"name": "absent"}),
        (Kind.NETWORK, "database", 2.0, {"mode": "stall"}),
        (Kind.STOP, child(dice, parameters.workers), 7.0, {}),
        (Kind.KILL, "api", 0.0, {}),
        (Kind.CARRIERS, "all", 2.0, {"name": "429-storm", "sms": {"rate_limit_per_s": 20}}),
        (Kind.KILL, "scheduler", 0.0, {}),
        (Kind.RESTART, dice.choice(SENDING), 0.0, {}),
        (Kind.STOP, "redis", 2.0, {}),
        (Kind.TERMINATE, "presence", 1.5, {"every_s": 0.3}),
    ]
    dice.shuffle(faults)
    return [
        Fault(at, kind, target, for_s, how)
        for at, (kind, target, for_s, how) in zip(spread(dice, len(faults)), faults, strict=True)
    ]
