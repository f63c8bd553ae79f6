"""What the receipts' bench found, for a person and for a program."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lab.bench.receipts.client import Book
from lab.bench.report import Report, Table, Target


@dataclass(frozen=True, slots=True)
class Killed:
    """What the kill cost.

    Attributes:
        lost: Answered with a 2xx and not in the table.
    """

    answered_before: int
    broken: int
    silent_s: float
    kept: int
    lost: int


@dataclass(frozen=True, slots=True)
class Applied:
    """Callbacks taken and applied at once.

    Attributes:
        late_s: From the last answer until none waited.
    """

    callbacks: int
    deliveries: int
    taken_per_s: float
    applied_per_s: float
    late_s: float
    wrong: int


def report(plain: Book, subject: Book, killed: Killed, applied: Applied) -> Report:
    rate, other = subject.per_second(), plain.per_second()
    refused = plain.refused + subject.refused
    figures = {
        "cpus": os.cpu_count(),
        "plain_per_s": round(other),
        "ours_per_s": round(rate),
        "ratio": round(rate / other, 2) if other else None,
        "carrier_cpu_s": round(subject.cpu_s, 2),
        "refused": refused,
        "kill": {
            "answered_before": killed.answered_before,
            "answers_broken": killed.broken,
            "silent_s": round(killed.silent_s, 2),
            "kept": killed.kept,
            "lost": killed.lost,
        },
        "applied": {
            "deliveries": applied.deliveries,
            "callbacks": applied.callbacks,
            "taken_per_s": round(applied.taken_per_s),
            "applied_per_s": round(applied.applied_per_s),
            "late_s": round(applied.late_s, 2),
            "wrong_state": applied.wrong,
        },
    }
    return Report(
        tables=[
            Table(
                "Signed status callbacks, each durable before it is answered",
                ("how", "a second"),
                [
                    ("an insert and commit for each", f"{other:,.0f}"),
                    ("alerting", f"{rate:,.0f}"),
                    ("alerting, applying at once", f"{applied.taken_per_s:,.0f}"),
                ],
            ),
            Table(
                "kill -9 of the API in the middle",
                ("answered before", "answers broken", "silent", "kept", "lost"),
                [
                    (
                        f"{killed.answered_before:,}",
                        f"{killed.broken:,}",
                        f"{killed.silent_s:.1f} s",
                        f"{killed.kept:,}",
                        f"{killed.lost:,}",
                    )
                ],
            ),
            Table(
                f"Applied to {applied.deliveries:,} deliveries, in any order, some twice",
                ("callbacks", "applied a second", "after the last one", "in a wrong state"),
                [
                    (
                        f"{applied.callbacks:,}",
                        f"{applied.applied_per_s:,.0f}",
                        f"{applied.late_s:.1f} s",
                        f"{applied.wrong:,}",
                    )
                ],
            ),
        ],
        targets=[
            Target("callbacks taken a second", 3_000, rate),
            Target("times an insert and commit for each", 6, rate / other if other else None),
            Target("answered and lost, kill -9 in the middle", 0, killed.lost, True),
            Target("receipts applied a second while more are taken", 3_000, applied.applied_per_s),
            Target("deliveries in a wrong state", 0, applied.wrong, True),
        ],
        figures=figures,
        notes=[
            "The carrier and PostgreSQL run on the same processors as the API.",
            *([f"{refused} answers were no 2xx."] if refused else []),
        ],
    )
