"""The scenarios: each a plan made from a seed, and its criteria beyond the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from alerting.domain.alert import Severity
from alerting.errors import BadInput
from lab.chaos import scenario_plans as plans
from lab.chaos.plan import Fault, Parameters, kills
from lab.chaos.system import PLACES

Plan = Callable[[Random, Parameters], list[Fault]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way of hurting the system.

    Attributes:
        span_s: How long the alert is made to take, by slow carriers, so that the faults fall into
            it; longer where the parameters ask for more (`span_per_kill_s`, `span_per_absence`).
        proxied: Places with a proxy before them.
        base_faults: Faults of the carriers during the whole run.
        silence_s: No longer may all carriers be without a message after a fault; None where that is
            not judged.
        settings: Others than the usual ones.
        undoubled: Not even a flagged duplicate may come.
        cancelled, receipts: What is judged above the usual.
        shifted: Workers' clocks can be put forward.
        two_companies: SMS and mail have a second provider each, and there is no push.
        resume_s: The longest time from the end of a fault to the next message.
        beside_s: While a channel is silent, no other may be without a message for longer.
        second_alert: One is sent while a fault lasts, and judged.
        standby: PostgreSQL has one that takes over.
    """

    sentence: str
    plan: Plan
    citizens: int
    span_s: float
    severity: Severity = Severity.EXTREME
    span_per_kill_s: float = 0.0
    span_per_absence: float = 0.0
    proxied: tuple[str, ...] = ()
    base_faults: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    silence_s: float | None = None
    undoubled: bool = False
    cancelled: bool = False
    receipts: bool = False
    shifted: bool = False
    two_companies: bool = False
    resume_s: float | None = None
    beside_s: float | None = None
    second_alert: bool = False
    standby: bool = False

    def span(self, parameters: Parameters) -> float:
        more = self.span_per_kill_s * parameters.kills + self.span_per_absence * parameters.absent_s
        return self.span_s + more


SCENARIOS: dict[str, Scenario] = {
    "kills": Scenario(
        "kill -9 of workers, API, scheduler, Redis and PostgreSQL", kills,
        citizens=100_000, span_s=10, span_per_kill_s=1.5,
    ),
    "flush": Scenario(
        "Redis is emptied ten times", plans.flush, citizens=20_000, span_s=20, undoubled=True,
    ),
    "no-redis": Scenario(
        "Redis is gone for a minute", plans.no_redis,
        citizens=30_000, span_s=15, span_per_absence=1.5, silence_s=2.0,
    ),
    "provider": Scenario(
        "providers swallow, refuse, fail and hang up", plans.provider,
        citizens=20_000, span_s=50, proxied=("http", "smtp"),
    ),
    "failover": Scenario(
        "the first of two providers swallows, refuses, fails and hangs up", plans.failover,
        citizens=20_000, span_s=45, proxied=("http", "smtp"), two_companies=True,
    ),
    "cancel": Scenario(
        "the alert is cancelled in flight", plans.cancel,
        # So few that two cores have not more open than they answer in time.
        citizens=100_000, span_s=20, settings={"window": 12}, undoubled=True, cancelled=True,
    ),
    "zombie": Scenario(
        "workers are stopped past their lease and go on later", plans.zombie,
        citizens=10_000, span_s=50, settings={"lease_s": 4.0},
    ),
    "network": Scenario(
        "resets, stalls, silence and lost answers between all parts", plans.network,
        citizens=10_000, span_s=70, proxied=PLACES, settings={"lease_s": 10.0},
    ),
    "receipts": Scenario(
        "receipts come late, doubled and in the wrong order while their takers die", plans.receipts,
        citizens=10_000, span_s=20, severity=Severity.SEVERE, receipts=True,
        base_faults={
            "sms": {
                "callback_delay_ms": 1500, "callback_jitter_ms": 3000,
                "callback_duplicate_rate": 0.3, "callback_reorder_rate": 0.3,
                "undelivered_rate": 0.05,
            }
        },
    ),
    "restart": Scenario(
        "a rolling restart under load", plans.restart,
        citizens=20_000, span_s=50, undoubled=True,
    ),
    "clock": Scenario(
        "clocks of a worker group step forward and back", plans.clock,
        citizens=10_000, span_s=40, shifted=True, undoubled=True,
    ),
    "redis-stopped": Scenario(
        "Redis is stopped again and again, and a second alert comes", plans.redis_stopped,
        # Small windows: a carrier answers soon and the alert takes its time all the same.
        citizens=3_000, span_s=40, settings={"window": 4},
        silence_s=2.0, undoubled=True, second_alert=True,
    ),
    "postgres-stopped": Scenario(
        "PostgreSQL is stopped for seconds", plans.postgres_stopped,
        citizens=10_000, span_s=20, resume_s=2.0, undoubled=True,
    ),
    "presence": Scenario(
        "the connections that show workers' presence are ended again and again", plans.presence,
        citizens=10_000, span_s=40, undoubled=True,
    ),
    "swap": Scenario(
        "PostgreSQL's standby takes over", plans.swap,
        citizens=10_000, span_s=30, proxied=("database",), undoubled=True, standby=True,
    ),
    "silent-provider": Scenario(
        "one of three providers answers nothing", plans.silent_provider,
        citizens=4_000, span_s=60, settings={"window": 8}, beside_s=2.0,
    ),
    "short": Scenario(
        "something of everything, for every change", plans.short,
        citizens=4_000, span_s=30, proxied=("http", "database"), settings={"lease_s": 5.0},
    ),
}  # fmt: skip


def find(name: str) -> Scenario:
    """The scenario of this name. Raises BadInput, which lists the names."""
    if name not in SCENARIOS:
        raise BadInput(
            f"There is no scenario {name!r}.", remedy=f"Choose from {', '.join(SCENARIOS)}."
        )
    return SCENARIOS[name]
