"""The examples of the description are answers of this service: every one is asked for again here.

`EXAMPLES=renew pytest tests/integration/api/test_examples.py` writes them anew.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from description import description, found_call
from dispatch_harness import DispatchHarness, Recorder
from served import Served
from shapely import box
from sqlalchemy import update

import alerting.api
from alerting.api.described import PROBLEM, examples
from alerting.api.rate_limits import Rate
from alerting.audience.synthetic import generate, store
from alerting.clock import ManualClock
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import RIGHTS, internal
from alerting.store import schema
from alerting.store.admin import api_keys, stored_alarms
from alerting.store.db import Database

FILE = Path(alerting.api.__file__).parent / "examples.json"
XML = {"Content-Type": "application/cap+xml"}


class Story:
    """Asks, and keeps the first answer of each kind."""

    def __init__(self, served: Served, auth: dict[str, str]) -> None:
        self.http, self.auth = served.http, auth
        self.answers: dict[str, Any] = {}

    async def ask(self, status: int, method: str, url: str, **more: Any) -> Any:
        headers = self.auth | more.pop("headers", {})
        answer = await self.http.request(method, url, headers=headers, **more)
        assert answer.status_code == status, (method, url, answer.text)
        return self.keep(answer)

    def keep(self, answer: httpx.Response) -> Any:
        path, _ = found_call(answer)
        name = f"{answer.request.method} {path} {answer.status_code}"
        if answer.headers["content-type"] == PROBLEM:
            name = str(answer.status_code)
        body = answer.json() if answer.headers["content-type"].endswith("json") else None
        if body is not None:
            self.answers.setdefault(name, body)
        return body


def shape(value: object) -> object:
    """The names and types in an answer, whatever the values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if type(value) in (int, float) else type(value).__name__


async def test_examples_match_real_answers(
    served: Served, alert_xml: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(served, await served.person("ada", *sorted(RIGHTS)))
    await lived(served, story, alert_xml, monkeypatch)
    if os.environ.get("EXAMPLES") == "renew":
        FILE.write_text(json.dumps(story.answers, indent=1, ensure_ascii=False) + "\n")
        examples.cache_clear()
    assert story.answers.keys() == examples().keys(), "EXAMPLES=renew writes them anew"
    for name, answer in story.answers.items():
        assert shape(answer) == shape(examples()[name]), name


def test_every_problem_has_an_example() -> None:
    statuses = {
        status
        for methods in description()["paths"].values()
        for call in methods.values()
        for status, answer in call["responses"].items()
        if PROBLEM in answer.get("content", {})
    }
    assert statuses == {name for name in examples() if name.isdigit()}


async def lived(
    served: Served, story: Story, alert_xml: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One alert from its dry run to its cancel, with whatever else there is to ask for."""
    run = served.runtime
    citizens = generate(
        3,
        box(2.40, 54.46, 2.62, 54.60),
        seed=7,
        make_push=lambda name: (f"https://push.example.org/{name}", {"p256dh": "p", "auth": "a"}),
        languages={"en": 1.0},
    )
    async with run.db.begin() as c:
        await store(c, citizens)
        await stored_alarms.open_(c, "provider-down", "sms.1", "sms.1 fails or does not answer.")
        (alarm,) = await stored_alarms.open_alarms(c)
        reader = await api_keys.create(c, "reader", ["read"], by=internal("test"))
    await story.ask(200, "GET", "/healthz")
    await story.ask(200, "GET", "/readyz")
    await story.ask(200, "GET", "/v1/alarms")
    await story.ask(200, "POST", f"/v1/alarms/{alarm.id}/close")
    await story.ask(200, "PUT", "/v1/policy?note=A+quiet+week", content="[budget]\nspacing_s = 900")
    await story.ask(200, "GET", "/v1/policy")
    ends_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    silence = {
        "matchers": [{"field": "event", "value": "Wind"}],
        "area": {"circle": ["54.5,2.5 10"]},
        "ends_at": ends_at,
        "comment": "The mast is being tested.",
    }
    made = await story.ask(201, "POST", "/v1/silences", json=silence)
    await story.ask(200, "GET", "/v1/silences")
    await story.ask(200, "DELETE", f"/v1/silences/{made['id']}")
    submission = {"content": alert_xml, "headers": XML}
    await story.ask(200, "POST", "/v1/alerts?now=true&dry_run=true", **submission)
    alert = (await story.ask(202, "POST", "/v1/alerts?now=true", **submission))["id"]
    sent_by = run.clock.now()
    harness = DispatchHarness(
        run.db,
        ManualClock(run.clock.now()),
        run.notifier,
        run.settings,
        {name: Recorder(name) for name in ("sms", "email", "push")},
        citizens,
    )
    await harness.worker().sweep()
    await harness.close()
    await story.ask(200, "GET", f"/v1/alerts/{alert}")
    await story.ask(200, "GET", f"/v1/alerts/{alert}/deliveries?limit=2")
    await story.ask(200, "GET", f"/v1/alerts/{alert}/citizens/{citizens[0].ref}")
    like = alert_xml.replace(b"example-flood-0001", b"gauge-flood-1").replace(
        b"alerts@example.org", b"gauges@example.org"
    )
    # Of two that were sent in one second either may be listed first.
    await asyncio.sleep((sent_by + timedelta(seconds=1) - run.clock.now()).total_seconds())
    other = (await story.ask(202, "POST", "/v1/alerts?now=true", content=like, headers=XML))["id"]
    await story.ask(200, "GET", "/v1/alerts?limit=1")
    await story.ask(200, "GET", "/v1/events/questions")
    approver = await served.person("grace", "approve", "read")
    await story.ask(409, "POST", f"/v1/alerts/{alert}/approval", headers=approver)
    async with run.db.begin() as c:
        held = update(schema.alert).where(schema.alert.c.id == UUID(other))
        await c.execute(held.values(state=AlertState.HELD.value))
    await story.ask(200, "POST", f"/v1/alerts/{other}/approval", headers=approver)
    await story.ask(200, "POST", "/v1/events/merge", json={"alert": alert, "other": other})
    await story.ask(200, "POST", "/v1/events/split", json={"alert": other})
    cancel = f"/v1/alerts/{alert}/cancel"
    await story.ask(202, "POST", cancel, json={"reason": "A sensor failed.", "false_alarm": True})
    await story.ask(200, "POST", cancel)
    await story.ask(200, "GET", "/v1/audit?limit=2")
    await problems(served, story, reader, monkeypatch)


async def problems(
    served: Served, story: Story, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each status."""
    json_body = {"Content-Type": "application/json"}
    await story.ask(
        400, "POST", "/v1/events/split", content=b'{"alert": "\xff"}', headers=json_body
    )
    await story.ask(401, "GET", "/v1/alerts", headers={"Authorization": ""})
    held_by = {"Authorization": f"Bearer {reader}"}
    await story.ask(403, "POST", "/v1/events/split", json={"alert": "x"}, headers=held_by)
    await story.ask(404, "GET", "/v1/alerts/no-such-alert")
    async with served.runtime.db.begin() as c:
        await c.exec_driver_sql(
            "update alert set pruned_at = now() where identifier like 'gauge%%'"
        )
    await story.ask(410, "GET", "/v1/alerts/gauge-flood-1/deliveries")
    await story.ask(413, "POST", "/v1/events/split", content=b" " * 64_001)
    await story.ask(415, "POST", "/v1/alerts", content=b"x", headers={"Content-Type": "text/plain"})
    await story.ask(422, "GET", "/v1/alerts?limit=0")
    with monkeypatch.context() as patched:
        patched.setattr(served.app.state.rates, "key", Rate(1, burst_s=-1))
        await story.ask(429, "GET", "/v1/alerts")
    with monkeypatch.context() as patched:
        patched.setattr("alerting.api.alarm_routes.stored_alarms.open_alarms", lambda _: 1 / 0)
        await story.ask(500, "GET", "/v1/alarms")
    with monkeypatch.context() as patched:
        absent = Database("postgresql://nobody@/none?host=/nowhere")
        patched.setattr(served.app.state, "runtime", replace(served.runtime, db=absent))
        await story.ask(503, "GET", "/v1/alarms")
