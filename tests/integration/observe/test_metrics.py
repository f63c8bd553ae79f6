"""A worker, a scheduler and the API as they run, asked as Prometheus asks them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from observing import found, missing
from prometheus_client.parser import text_string_to_metric_families
from shapely import box

from alerting.audience.synthetic import generate, store
from alerting.bootstrap import Runtime
from alerting.dispatch.intake.submit import submit
from alerting.domain.principal import internal
from alerting.embedded.wait import until
from alerting.observe.exporter import exported
from alerting.settings import Settings
from alerting.store.admin import policy_versions

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
RULES = ROOT / "deploy" / "prometheus" / "alerting.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "alerting.json"

#: What Prometheus adds by itself.
OF_PROMETHEUS = {"up"}
#: Words of its language.
WORDS = {
    "by", "for", "ignoring", "rate", "increase", "sum", "max", "min", "count", "time", "le", "on",
    "histogram_quantile",
}  # fmt: skip
#: Messages have to wait their turn.
PACED = "".join(f"[pace.{name}]\nper_second = 500\n" for name in ("sms", "email", "push"))
PROCESSES = ("api", "scheduler", "worker")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def names(expression: str) -> set[str]:
    """The metrics of an expression, as they are exported."""
    bare = re.sub(
        r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)|\bignoring\([^)]*\)', "", expression
    )
    return set(re.findall(r"[a-z_][a-z0-9_]+", bare)) - WORDS - OF_PROMETHEUS


def labels(expression: str) -> set[str]:
    """The labels an expression asks for."""
    found = set(re.findall(r'(\w+)[!=]~?"', expression))
    for names_ in re.findall(r"\bby \(([^)]*)\)", expression):
        found |= {name.strip() for name in names_.split(",")}
    return found - {"job", "instance", "le"}


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def answers(port: int, *words: str) -> Callable[[], bool]:
    """Whether a process answers, with these words in it."""

    def asked() -> bool:
        try:
            text = scrape(port)
        except OSError:
            return False
        return all(word in text for word in words)

    return asked


@contextmanager
def process(words: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", *words], env=env, cwd=ROOT, stdout=out, stderr=out
        )
    try:
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


async def alert_for(settings: Settings, citizens: int) -> None:
    """People in the register, and an alert for them."""
    nowhere = f"http://127.0.0.1:{settings.sandbox_port}/push"
    async with Runtime.open(settings) as run:
        people = generate(
            citizens,
            box(2.40, 54.46, 2.62, 54.60),
            seed=7,
            make_push=lambda n: (f"{nowhere}/{n}", {"p256dh": "p", "auth": "a"}),
            languages={"en": 1.0},
        )
        async with run.db.begin() as c:
            await store(c, people)
            await policy_versions.put(c, PACED, role="live", name="p", by=internal("test"), note="")
        document = (ROOT / "examples" / "flood.xml").read_bytes()
        await submit(
            run.db,
            document,
            principal=internal("test"),
            clock=run.clock,
            notifier=run.notifier,
            now=True,
        )


@pytest.fixture
async def ports(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, int]]:
    """Where each process answers, once an alert has gone out by it."""
    first = free_ports(6)
    here = {
        "ALERTING_VAR": str(tmp_path),
        "ALERTING_CARRIERS": "sandbox",
        "ALERTING_PORT": str(first),
        "ALERTING_SANDBOX_PORT": str(first + 1),
        "ALERTING_SANDBOX_SMTP_PORT": str(first + 2),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "BROKER_URL": redis_url,
        "ALERTING_STOP_LIST": str(tmp_path / "stops"),
    }
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    env = os.environ | settings.to_environment()
    scheduler = env | {"ALERTING_METRICS_PORT": str(first + 3)}
    # Its only child has the number 0.
    worker = env | {"ALERTING_METRICS_PORT": str(first + 4)}
    celery = ["celery", "-A", "worker", "worker", "-Q", "routine,severe", "-c", "1"]
    with (
        process(["alerting.cli", "carriers"], env, tmp_path / "carriers.log"),
        process(["alerting.cli", "serve"], env, tmp_path / "api.log"),
        process(["alerting.cli", "scheduler"], scheduler, tmp_path / "scheduler.log"),
        process([*celery, "--without-gossip", "--without-mingle"], worker, tmp_path / "worker.log"),
    ):
        until(answers(first), timeout_s=240, what="the API")
        await alert_for(settings, citizens=40)
        sent = (
            'outcome="accepted"',
            "alerting_rate_limit_wait_seconds_bucket{",
            'answer="admitted"',
        )
        until(answers(first + 4, *sent), timeout_s=240, what="the worker to send")
        until(answers(first + 3, 'duty="prune"', 'duty="stop-list"'), timeout_s=240, what="duties")
        yield {"api": first, "scheduler": first + 3, "worker": first + 4}


@pytest.fixture
async def scraped(ports: dict[str, int]) -> dict[str, str]:
    return {name: scrape(port) for name, port in ports.items()}


def documented() -> dict[str, tuple[set[str], str]]:
    """By metric on the page: its labels, and who answers it."""
    found = {}
    for name, said, who in re.findall(
        r"^\| `(alerting_\w+)` \|([^|]*)\|[^|]*\|([^|]*)\|", PAGE, re.M
    ):
        found[name] = (set(re.findall(r"`(\w+)`", said)), who.strip())
    return found


@pytest.mark.timeout(400)
async def test_metrics_are_documented_and_labelled(
    scraped: dict[str, str],
) -> None:
    page = documented()
    seen: dict[str, set[str]] = {}
    series: set[str] = set()
    for process_, text in scraped.items():
        for family in text_string_to_metric_families(text):
            if not family.name.startswith("alerting_"):
                continue
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert name in page, f"{name} is not in docs/metrics.md"
            assert family.documentation, name
            series |= {s.name for s in family.samples}
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == page[name][0], (name, sample.labels)
                assert all(len(value) < 60 for value in sample.labels.values()), sample
                assert "@" not in str(sample.labels), sample
                assert "+44" not in str(sample.labels), sample
                seen.setdefault(name, set()).add(process_)
    quiet = {"alerting_work_failed_total", "alerting_duty_failed_total", "alerting_alarms_open"}
    quiet |= {"alerting_http_refused_total"}
    assert set(page) - set(seen) <= quiet
    for name, (_, who) in page.items():
        whose = set(PROCESSES) if who == "all" else set(who.lower().split(", "))
        assert whose & seen.get(name, whose), (name, seen.get(name))
    # A counter without a label value has no series yet; its name is known all the same.
    known = series | set(page)
    for used in [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels() for target in panel["targets"]
    ]:
        assert names(used) or "up{" in used, used
        assert names(used) <= known, used
        for name in names(used):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            of = page.get(name) or page[base]
            if len(names(used)) == 1:
                assert labels(used) <= of[0], (used, labels(used))


class Prometheus:
    """A running Prometheus, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **words: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> list[float]:
        return [float(r["value"][1]) for r in self.ask("query", query=expression)["result"]]

    def has_read(self, targets: int) -> Callable[[], bool]:
        """Whether it has every target, and has tried every rule since."""

        def asked() -> bool:
            try:
                up, groups = self.value("sum(up)"), self.ask("rules")["groups"]
            except OSError:
                return False
            tried = [rule["health"] for group in groups for rule in group["rules"]]
            return up == [targets] and bool(tried) and "unknown" not in tried

        return asked


@contextmanager
def prometheus(ports: dict[str, int], folder: Path) -> Iterator[Prometheus]:
    """Prometheus with our rules, reading these processes."""
    program, port = found("prometheus"), free_ports(1)
    assert program is not None, "Prometheus is not here: make observe-deps"
    made = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": f"alerting-{name}", "static_configs": [{"targets": [f"127.0.0.1:{p}"]}]}
            for name, p in ports.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    with (folder / "prometheus.log").open("wb") as out:
        running = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=out,
            stderr=out,
        )
    try:
        yield Prometheus(port)
    finally:
        running.terminate()
        running.wait(60)


@pytest.mark.timeout(400)
@pytest.mark.skipif(missing("prometheus"), reason="Prometheus is not here (make test-observe)")
async def test_prometheus_reads_what_runs_and_every_rule_and_panel_has_an_answer(
    ports: dict[str, int], tmp_path: Path
) -> None:
    with prometheus(ports, tmp_path) as asked:
        until(asked.has_read(len(ports)), timeout_s=120, what="Prometheus to read all")
        for group in asked.ask("rules")["groups"]:
            for rule in group["rules"]:
                assert rule["health"] == "ok", rule
        for panel in panels():
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "1m")
                assert asked.ask("query", query=expression)["resultType"] == "vector", expression
        assert asked.value("min(alerting_database_up)") == [1]
        (sent,) = asked.value('sum(alerting_deliveries_total{outcome="accepted"})')
        assert sent > 0
        # All is well, so nobody is woken.
        assert asked.value('sum(ALERTS{severity="page",alertstate="firing"})') == []


def test_every_alert_rule_has_a_runbook() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        said = rule["annotations"]
        assert said["summary"]
        assert said["action"]
        assert (ROOT / said["runbook"]).is_file(), said["runbook"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_metric_is_drawn_or_alerted_on() -> None:
    used = set()
    for expression in [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels() for target in panel["targets"]
    ]:
        used |= {re.sub(r"_(bucket|count|sum)$", "", name) for name in names(expression)}
    assert used == set(documented())


def test_taken_port_stops_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with exported("127.0.0.1", taken.getsockname()[1]):
            pass


def test_child_has_its_own_port() -> None:
    first = free_ports(2)
    for _ in range(2):
        with exported("127.0.0.1", first, child=1):
            assert "alerting_build_info" in scrape(first + 1)
            with pytest.raises(OSError, match="refused"):
                scrape(first)
