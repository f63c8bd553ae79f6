"""The alert rules and the dashboard, read and tried out by Prometheus's own promtool."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from observing import found, missing

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "alerting.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "alerting.json"

pytestmark = pytest.mark.skipif(
    missing("promtool"), reason="promtool is not here (make test-observe)"
)

#: By name and labels, the values at every step.
Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """fires, rests: what is seen, and the alert fires or does not by the instant `at`."""

    fires: Series
    rests: Series
    at: str = "12m"
    step: str = "15s"


def calls(accepted: int, throttled: int) -> Series:
    return {
        'alerting_provider_calls_total{provider="sms.1",outcome="accepted"}': f"0+{accepted}x100",
        'alerting_provider_calls_total{provider="sms.1",outcome="throttled"}': f"0+{throttled}x100",
    }


def deliveries(accepted: int, unreachable: int) -> Series:
    name = 'alerting_deliveries_total{channel="sms",outcome='
    return {
        f'{name}"accepted"}}': f"0+{accepted}x200",
        f'{name}"unreachable"}}': f"0+{unreachable}x200",
        # What was not sent does not count.
        f'{name}"suppressed"}}': "0+50x200",
    }


def histogram(name: str, labels: str, buckets: dict[str, int]) -> Series:
    return {f'{name}_bucket{{{labels},le="{le}"}}': f"0+{n}x100" for le, n in buckets.items()}


def pool(in_use: int) -> Series:
    return {
        'alerting_database_connections{instance="a",state="in_use"}': f"{in_use}x60",
        'alerting_database_connections{instance="a",state="idle"}': f"{10 - in_use}x60",
        'alerting_database_pool_size{instance="a"}': "10x60",
    }


#: In nine of ten cases slower than the first bucket's bound, and never.
SLOW, QUICK = {"5": 1, "10": 10, "+Inf": 10}, {"5": 10, "10": 10, "+Inf": 10}
LATE = {"1": 1, "5": 10, "+Inf": 10}

_LANE = "alerting_outbox_oldest_seconds{lane="
_DUTY = "alerting_duty_last_success_timestamp_seconds{duty="
_WAIT = "alerting_rate_limit_wait_seconds"

CASES = {
    "AlertingProcessDown": Case(
        {'up{job="alerting-api",instance="a"}': "0x60"},
        {'up{job="alerting-api",instance="a"}': "1x60", 'up{job="other",instance="b"}': "0x60"},
    ),
    "AlertingDatabaseDown": Case(
        {
            'alerting_database_up{instance="a"}': "0x60",
            'alerting_database_up{instance="b"}': "1x60",
        },
        {'alerting_database_up{instance="a"}': "1x60"},
    ),
    "AlertingExtremeWaits": Case(
        {f'{_LANE}"extreme"}}': "3x60"},
        {f'{_LANE}"extreme"}}': "2x60", f'{_LANE}"routine"}}': "50x60"},
    ),
    "AlertingWorkWaits": Case({f'{_LANE}"routine"}}': "61x60"}, {f'{_LANE}"routine"}}': "60x60"}),
    "AlertingHeld": Case(
        {'alerting_alerts_held{status="Actual"}': "1x60"},
        {
            'alerting_alerts_held{status="Actual"}': "0x60",
            'alerting_alerts_held{status="Exercise"}': "1x60",
        },
    ),
    "AlertingAlarmOpen": Case(
        {'alerting_alarms_open{kind="clock"}': "1x60"},
        {'alerting_alarms_open{kind="clock"}': "0x60"},
    ),
    "AlertingWorkSetAside": Case(
        {'alerting_work_failed_total{result="set-aside"}': "0x20 1x60"},
        {'alerting_work_failed_total{result="error"}': "0x20 1x60"},
    ),
    "AlertingProviderLeftAlone": Case(
        {'alerting_breaker_state{provider="sms.1"}': "2x60"},
        {'alerting_breaker_state{provider="sms.1"}': "1x60"},
    ),
    "AlertingProviderFails": Case(calls(7, 3), calls(9, 1)),
    "AlertingProviderSlow": Case(
        histogram("alerting_provider_call_seconds", 'provider="sms.1"', SLOW),
        histogram("alerting_provider_call_seconds", 'provider="sms.1"', QUICK),
    ),
    "AlertingRateLimitHoldsUp": Case(
        histogram(_WAIT, 'channel="sms",lane="severe"', LATE),
        histogram(_WAIT, 'channel="sms",lane="routine"', LATE),
    ),
    "AlertingDutyLate": Case(
        # Another process did it last, and long ago.
        {f'{_DUTY}"receipts",instance="a"}}': "0x60", f'{_DUTY}"receipts",instance="b"}}': "30x60"},
        {
            f'{_DUTY}"receipts",instance="a"}}': "0x60",
            f'{_DUTY}"receipts",instance="b"}}': "0+15x60",
            f'{_DUTY}"prune"}}': "0x60",
        },
    ),
    "AlertingPruneLate": Case(
        {f'{_DUTY}"prune"}}': "0x700"}, {f'{_DUTY}"prune"}}': "0x300 90000x400"}, "51h", "5m"
    ),
    "AlertingDutyFails": Case(
        {'alerting_duty_failed_total{duty="tally"}': "0+1x100"},
        {'alerting_duty_failed_total{duty="tally"}': "0x20 1x80"},
        "20m",
    ),
    "AlertingBudgetsUnavailable": Case(
        {'alerting_budget_answers_total{severity="Minor",answer="unavailable"}': "0+1x100"},
        {'alerting_budget_answers_total{severity="Minor",answer="day"}': "0+1x100"},
    ),
    "AlertingPoolExhausted": Case(pool(10), pool(9)),
    "AlertingHttpErrors": Case(
        {'alerting_http_requests_total{status="503"}': "0+15x100"},
        {'alerting_http_requests_total{status="404"}': "0+15x100"},
    ),
    "AlertingApiSlow": Case(
        histogram("alerting_http_request_seconds", 'route="/v1/alerts"', LATE),
        histogram("alerting_http_request_seconds", 'route="/v1/audit"', LATE),
    ),
    "AlertingKeysGuessed": Case(
        {'alerting_http_refused_total{status="401"}': "0+30x100"},
        {'alerting_http_refused_total{status="403"}': "0+30x100"},
    ),
    "AlertingSignaturesRefused": Case(
        {"alerting_webhook_bad_signatures_total": "0+1x100"},
        {"alerting_webhook_bad_signatures_total": "0x20 1x80"},
    ),
    "AlertingDeliveriesFail": Case(deliveries(6, 4), deliveries(8, 2), "40m"),
}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def promtool(*words: str | Path, folder: Path = FOLDER) -> None:
    program = found("promtool")
    assert program is not None, "promtool is not here: make observe-deps"
    done = subprocess.run(
        [program, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule["alert"] for rule in rules()}


def test_prometheus_reads_the_rules_and_its_configuration() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES.name)
    promtool("check", "config", "prometheus.yml")


def test_prometheus_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    drawn = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert drawn
    recorded = [
        {"record": f"drawn:{n}", "expr": expression.replace("$__rate_interval", "5m")}
        for n, expression in enumerate(drawn)
    ]
    made = {"groups": [{"name": "dashboard", "rules": recorded}]}
    (tmp_path / "dashboard.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    promtool("check", "rules", "dashboard.yml", folder=tmp_path)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_rule_fires_when_it_should_and_rests_when_not(rule: dict[str, Any], tmp_path: Path) -> None:
    name, case = rule["alert"], CASES[rule["alert"]]
    fired = [{"labels": f'{{severity="{rule["labels"]["severity"]}"}}', "value": 1}]
    made = {
        "rule_files": [str(RULES)],
        "evaluation_interval": case.step,
        "tests": [
            {
                "name": words,
                "interval": case.step,
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count by (severity) (ALERTS{{alertname="{name}",'
                        'alertstate="firing"})',
                        "eval_time": case.at,
                        "exp_samples": expected,
                    }
                ],
            }
            for words, series, expected in (
                ("fires", case.fires, fired),
                ("rests", case.rests, []),
            )
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    promtool("test", "rules", "test.yml", folder=tmp_path)
