"""The processes of one machine, and what each of them reads its settings from."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from alerting.embedded.supervisor import Spec
from alerting.settings import Settings

#: Worker groups and the lanes each serves. A group of its own keeps the high-priority lanes'
#: workers free.
GROUPS = {"fast": "extreme,severe", "bulk": "routine,drill"}


def processes(
    config: Settings,
    database_url: str,
    redis_url: str,
    *,
    groups: Mapping[str, str] = GROUPS,
) -> list[Spec]:
    """The processes in the order they start: carriers where they stand in, API, the worker
    groups, scheduler."""
    urls = {
        "database_url": database_url,
        "redis_url": redis_url,
        "broker_url": config.broker_url or redis_url,
    }
    config = config.model_copy(update=urls)
    env = config.to_environment()
    alerting = (sys.executable, "-m", "alerting.cli")

    def at(place: int) -> dict[str, str]:
        """The environment of a process whose metrics are so many ports on."""
        port = config.metrics_port and config.metrics_port + place
        return {**env, "ALERTING_METRICS_PORT": str(port)}

    def worker(no: int, name: str, lanes: str) -> Spec:
        command = (
            sys.executable, "-m", "celery", "--quiet", "-A", "worker", "worker", "-Q", lanes,
            "-c", str(config.workers), "-n", f"{name}@%h", "-l", config.log_level,
            "--without-gossip", "--without-mingle",
        )  # fmt: skip
        return Spec(name, command, at(1 + no * config.workers), stop_s=40)

    specs = [
        Spec("api", (*alerting, "serve"), env),
        *(worker(no, name, lanes) for no, (name, lanes) in enumerate(groups.items())),
        Spec("scheduler", (*alerting, "scheduler"), at(0)),
    ]
    if config.carriers == "sandbox":
        specs.insert(0, Spec("carriers", (*alerting, "carriers"), env))
    return specs
