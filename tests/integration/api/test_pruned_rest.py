"""What the REST interface says of an alert whose deliveries are kept no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from served import Served
from sqlalchemy import text

from alerting.clock import ManualClock
from alerting.dispatch.prune import Pruner


@pytest.mark.usefixtures("redis_url")
async def test_pruned_alert_is_gone_but_its_document_stays(
    served: Served, alert_xml: bytes
) -> None:
    headers = served.auth | {
        "Content-Type": "application/cap+xml",
        "Idempotency-Key": "once",
    }
    first = await served.http.post("/v1/alerts?now=true", content=alert_xml, headers=headers)
    name = first.json()["id"]
    async with served.runtime.db.begin() as c:
        await c.execute(text("update outbox set state = 'done', done_at = now()"))
        await c.execute(text("update alert set state = 'completed', finished_at = now()"))
    later = ManualClock(served.runtime.clock.now() + timedelta(days=500))
    assert (await Pruner(served.runtime.db, later).run(400, actor="test")).alerts == 1
    for path in ("", "/deliveries", "/citizens/nobody"):
        answer = await served.http.get(f"/v1/alerts/{name}{path}", headers=served.auth)
        assert answer.status_code == 410, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert f"were pruned on {later.now():%Y-%m-%d}" in answer.json()["detail"]
        assert answer.json()["title"] == "Gone"
    answer = await served.http.post(f"/v1/alerts/{name}/cancel", headers=served.auth)
    assert answer.status_code == 410
    answer = await served.http.get(f"/v1/alerts/{name}/cap", headers=served.auth)
    assert answer.status_code == 200
    assert b"<status>Actual" in answer.content
    again = await served.http.post("/v1/alerts?now=true", content=alert_xml, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, name)
