"""Benches: the product's throughput on this machine, compared with other programs.

A bench is a function that takes `Options` and returns a `Report`. Its engines are its own and end
with it.
"""

from __future__ import annotations

import importlib
from typing import cast

from alerting.errors import NotFound
from lab.bench.report import Bench

#: name → (module:function, what it measures). A module is imported only when its bench runs.
BENCHES = {
    "sms": (
        "lab.bench.sms:run",
        "SMS from end to end beside a Celery task a message and a bare loop.",
    ),
    "email": (
        "lab.bench.email:run",
        "Email from end to end beside aiosmtplib.send, Apprise and Postfix's smtp-source.",
    ),
    "push": (
        "lab.bench.push:run",
        "Web Push from end to end beside pywebpush and a bare loop.",
    ),
    "verdicts": (
        "lab.bench.verdicts.verdicts:run",
        "Attention budgets in Redis: verdicts a second beside other limiters, and memory.",
    ),
    "audience": (
        "lab.bench.audience.audience:run",
        "A polygon that holds a million of ten million citizens, planned.",
    ),
    "shaping": (
        "lab.bench.shaping.shaping:run",
        "Many workers at one provider's rate: kept, used, fair, and soon back after 429s.",
    ),
    "overtake": (
        "lab.bench.overtake.overtake:run",
        "An Extreme while an alert to a million is in flight, beside one on idle workers.",
    ),
    "receipts": (
        "lab.bench.receipts.receipts:run",
        "Status callbacks a second at the real API, none lost by kill -9, and applied.",
    ),
    "memory": (
        "lab.bench.memory.memory:run",
        "What a message costs from 10,000 citizens to a million: processor, bytes, memory.",
    ),
    "retention": (
        "lab.bench.retention.retention:run",
        "Pruning a million deliveries: rows a second, and whether the ledger grows on.",
    ),
    "growth": (
        "lab.bench.growth.growth:run",
        "Maintenance, status and submission beside ten years of alerts.",
    ),
    "scale": (
        "lab.bench.scale.scale:run",
        "Worker groups on hosts of their own: as fast together, one rate, nothing twice.",
    ),
}


def find(name: str) -> Bench:
    """The bench of this name. Raises NotFound, which lists the names."""
    if name not in BENCHES:
        raise NotFound(f"There is no bench {name}.", remedy=f"There are: {', '.join(BENCHES)}.")
    module, _, function = BENCHES[name][0].partition(":")
    return cast(Bench, getattr(importlib.import_module(module), function))
