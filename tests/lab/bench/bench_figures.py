"""Figures as each bench keeps them, with made-up numbers near the real ones."""

from __future__ import annotations

from typing import Any


def target(name: str, reach: float, measured: float, at_most: bool = False, unit: str = "") -> Any:
    key = "at_most" if at_most else "at_least"
    return {"name": name, key: reach, "measured": measured, "unit": unit, "reached": True}


def _passage(loaded: bool, scale: float) -> dict[str, Any]:
    curve = [round(scale * (0.12 + 0.09 * n), 3) for n in range(21)]
    return {
        "loaded": loaded, "first_s": curve[0], "p50_s": curve[10], "p90_s": curve[18],
        "p99_s": curve[19], "last_s": curve[20], "every_twentieth_s": curve, "others_per_s": 900,
    }  # fmt: skip


def _alert(citizens: int, worker_mb: float) -> dict[str, Any]:
    cpu_s = {"workers": 0.25e-3, "PostgreSQL": 0.05e-3, "Redis": 0.001e-3, "stand-in": 0.01e-3}
    return {
        "citizens": citizens, "seconds": citizens / 5000, "worker_mb": worker_mb,
        "cpu_s": {name: s * citizens for name, s in cpu_s.items()},
    }  # fmt: skip


def _row(who: str, how: str, per_s: int, per_core_s: int | None) -> dict[str, Any]:
    return {"who": who, "how": how, "installed": True, "per_s": per_s, "per_core_s": per_core_s}


FIGURES: dict[str, dict[str, Any]] = {
    "sms": {
        "per_second": {
            "ours": [5900.0, 5832.0, 5984.0],
            "a Celery task a message": [565.0, 559.0, 575.0],
            "bare aiohttp loop": [12200.0, 12135.0, 12718.0],
        },
        "messages": {"ours": 100_000, "a Celery task a message": 5_000},
        "targets": [
            target("times a Celery task a message", 12, 10.5, unit="×"),
            target("of a bare aiohttp loop", 0.6, 0.49, unit="×"),
        ],
    },
    "email": {
        "per_second": {
            "ours": [3607.0, 2587.0, 3774.0],
            "a Celery task a mail": [365.0, 354.0, 377.0],
            "aiosmtplib.send, sixteen at once": [858.0, 850.0, 870.0],
            "aiosmtplib.send, one at a time": [581.0, 570.0, 590.0],
            "Apprise, its throttle at zero": [41.0, 40.0, 42.0],
            "Postfix smtp-source": [14900.0, 13931.0, 15828.0],
        },
        "messages": {"ours": 50_000},
        "targets": [
            target("times a Celery task a mail", 12, 9.9, unit="×"),
            target("of Postfix smtp-source", 0.25, 0.24, unit="×"),
        ],
    },
    "push": {
        "per_second": {
            "ours": [4600.0, 4542.0, 4928.0],
            "pywebpush in a loop": [1080.0, 1072.0, 1093.0],
            "bare crypto and aiohttp loop": [5200.0, 5105.0, 5281.0],
        },
        "messages": {"ours": 50_000},
        "targets": [
            target("times pywebpush in a loop", 4, 4.27, unit="×"),
            target("of a bare crypto and aiohttp loop", 0.6, 0.88, unit="×"),
        ],
    },
    "verdicts": {
        "batch": 1_000,
        "memory": {"citizens": 10_000_000, "together_mb": 193.0},
        "ours": [
            _row("alerting", "dense", 562_000, 793_815),
            _row("alerting", "dense, one call at a time", 430_000, 790_000),
            _row("alerting", "sparse, anywhere in 10,000,000", 101_000, 120_000),
            _row("alerting", "sparse, one of each 1,000 of 1,000,000", 99_000, 118_000),
        ],
        "rivals": [
            _row("limits 5.8", "fixed window", 4_900, 24_000),
            _row("throttled-py 3.5", "GCRA", 6_500, 21_000),
            _row("pyrate-limiter 4.4", "sliding window log", 2_100, None),
            {"who": "another", "how": "GCRA", "installed": False},
        ],
        "targets": [
            target("dense, a second of one Redis core", 300_000, 793_815),
            target("sparse anywhere, a second of one Redis core", 80_000, 120_000),
            target("sparse one of each 1,000, the same", 80_000, 118_000),
        ],
    },
    "audience": {
        "citizens": 10_000_000,
        "ours": [{"first_s": 2.8, "all_s": 28.5, "citizens": 1_135_142},
                 {"first_s": 3.2, "all_s": 33.5, "citizens": 1_134_911}],
        "plain": {"first_s": 0.2, "all_s": 8.7},
        "targets": [
            target("first chunk ready, the slowest", 1, 3.2, True, "s"),
            target("all planned, the slowest", 30, 33.5, True, "s"),
        ],
    },
    "overtake": {
        "ways": {
            "ours": [_passage(False, 1.0), _passage(True, 1.05), _passage(True, 1.1)],
            "ours, one group for all lanes": [_passage(False, 1.0), _passage(True, 1.7)],
            "a Celery task a message, priorities": [_passage(False, 4.0), _passage(True, 10.0)],
        },
        "sizes": {"ours": {"light": 1_000_000, "grave": 10_000}},
        "targets": [
            target("to the first attempt, the slowest round", 1, 0.22, True, "s"),
            target("p99 loaded beside idle", 2, 1.09, True, "×"),
        ],
    },
    "shaping": {
        "workers": 8,
        "per_second": 1_000,
        "ways": [
            {"way": way, "busy_workers": busy, "over_percent": over, "used_percent": used,
             "each_second": [int(10 * used) + n for n in (-8, 3, 6, -2, 4, 0, -5)]}
            for way, busy, over, used in (
                ("shared", 8, -1.6, 97.8), ("shared", 2, -1.8, 97.9),
                ("divided", 8, -0.2, 99.0), ("divided", 2, -74.8, 25.0),
                ("fixed window", 8, 62.0, 99.5), ("fixed window", 2, 48.0, 99.0),
                ("moving window", 8, 0.0, 93.0), ("moving window", 2, 0.0, 91.0),
            )
        ],
        "targets": [
            target("over the rate in any second", 1, -1.6, True, "%"),
            target("of the rate used", 95, 97.8, unit="%"),
        ],
    },
    "receipts": {
        "plain_per_s": 610,
        "ours_per_s": 3_149,
        "ratio": 5.16,
        "kill": {"lost": 0},
        "applied": {"taken_per_s": 2_900, "applied_per_s": 3_300},
        "targets": [
            target("callbacks taken a second", 3_000, 3_149),
            target("receipts applied a second while more are taken", 3_000, 3_300),
        ],
    },
    "memory": {
        "alerts": [_alert(10_000, 155.0), _alert(10_000, 155.0), _alert(100_000, 156.0),
                   _alert(1_000_000, 157.0)],
        "targets": [
            target("processor at the largest beside the smallest", 1.1, 1.0, True, "×"),
            target("memory of a worker process", 200, 157, True, "MB"),
        ],
    },
    "scale": {
        "per_second": {"1": [3517.0, 3343.0, 3580.0], "3": [5557.0, 5195.0, 5752.0]},
        "shaping": {"over_percent": -0.8, "used_percent": 98.0},
        "targets": [target("3 hosts beside one, on the same processors", 0.9, 1.58)],
    },
    "retention": {
        "deliveries": 1_000_000,
        "rounds": [
            {"fill_s": 40.0, "filled_bytes": 969_900_000, "prune_s": 28.4},
            {"fill_s": 41.0, "filled_bytes": 970_900_000, "prune_s": 16.2},
            {"fill_s": 40.5, "filled_bytes": 972_000_000},
        ],
        "targets": [target("growth on disk after the first filling", 10, 0.22, True, "%")],
    },
    "growth": {
        "small": {"deliveries": 102_000, "longest_s": {"digests": 0.06, "tally": 0.004}},
        "large": {"alerts": 50_000, "deliveries": 5_250_000,
                  "longest_s": {"digests": 0.11, "tally": 0.02}},
        "targets": [target("longest transaction of maintenance", 0.2, 0.11, True, "s")],
    },
}  # fmt: skip
