"""`POST /v1/alerts/{alert}/cancel` and `alerting cancel`: the same deed by two doors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from served import Served

from alerting.cli.review import cancel
from alerting.domain.principal import internal
from alerting.errors import AlertingError
from alerting.store.admin import api_keys

XML = {"Content-Type": "application/cap+xml"}

Type = Callable[..., tuple[int, str]]


async def submit(served: Served, alert_xml: bytes) -> str:
    answer = await served.http.post(
        "/v1/alerts?now=true", content=alert_xml, headers={**served.auth, **XML}
    )
    return str(answer.json()["id"])


async def ask(served: Served, alert: str, body: object = None, **headers: str) -> Any:
    return await served.http.post(
        f"/v1/alerts/{alert}/cancel", json=body, headers={**served.auth, **headers}
    )


async def test_cancel_ends_alert_and_returns_notice(served: Served, alert_xml: bytes) -> None:
    alert = await submit(served, alert_xml)
    answer = await ask(served, "example-flood-0001", {"false_alarm": True, "reason": "A test."})
    assert answer.status_code == 202
    done = answer.json()
    assert (done["id"], done["state"], done["ended"]) == (alert, "cancelled", [alert])
    assert answer.headers["Location"] == f"/v1/alerts/{done['notice']['id']}"
    notice = await served.http.get(f"/v1/alerts/{done['notice']['id']}/cap", headers=served.auth)
    assert "<msgType>Cancel</msgType>" in notice.text
    assert "false alarm" in notice.text
    again = await ask(served, alert)
    assert again.status_code == 200
    assert (again.json()["notice"], again.json()["ended"]) == (None, [])


async def test_cancel_repeats_answer_for_idempotency_key(served: Served, alert_xml: bytes) -> None:
    alert = await submit(served, alert_xml)
    first = await ask(served, alert, {"reason": "Over."}, **{"Idempotency-Key": "k"})
    again = await ask(served, alert, {"reason": "Over."}, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["notice"]["id"] == first.json()["notice"]["id"]
    other = await ask(served, alert, {"reason": "No."}, **{"Idempotency-Key": "k"})
    assert other.status_code == 422


async def test_cancel_dry_run_and_bad_input_change_nothing(
    served: Served, alert_xml: bytes
) -> None:
    alert = await submit(served, alert_xml)
    dry = await ask(served, alert, {"dry_run": True})
    assert (dry.status_code, dry.json()["ended"], dry.json()["notice"]) == (200, [alert], None)
    assert (await ask(served, alert, {"reason": "x" * 1001})).status_code == 422
    assert (await ask(served, alert, {"why": "x"})).status_code == 422
    assert (await ask(served, "unknown")).status_code == 404
    async with served.runtime.db.begin() as c:
        reader = await api_keys.create(c, "reader", ["read"], senders=("*",), by=internal("test"))
    refused = await ask(served, alert, Authorization=f"Bearer {reader}")
    assert refused.status_code == 403
    found = await served.http.get(f"/v1/alerts/{alert}", headers=served.auth)
    assert found.json()["state"] == "accepted"


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str, operator: str
) -> Type:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cancel, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return run


async def test_cancel_command(served: Served, alert_xml: bytes, typed: Type) -> None:
    async def run(*words: str) -> tuple[int, str]:
        # The command has an event loop of its own.
        return await asyncio.to_thread(typed, *words)

    assert (await run("unknown"))[0] == 2
    alert = await submit(served, alert_xml)
    assert (await run(alert, "--reason", "x" * 1001))[0] == 2
    code, said = await run(alert, "--dry-run")
    assert (code, said) == (
        0,
        f"Would cancel alert {alert} (Storm surge, Marejada ciclónica: example-flood-0001 of "
        "centre@example.org). It had reached nobody, so nobody would be notified. Nothing was "
        "changed.\n",
    )
    code, said = await run(alert, "--false-alarm", "--json")
    done = json.loads(said)
    assert (code, done["state"], done["ended"]) == (0, "cancelled", [alert])
    code, said = await run(alert)
    assert code == 0
    assert said.startswith(f"Already ended: alert {alert} (cancelled by {done['notice']['id']})")
