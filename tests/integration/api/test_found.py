"""Alerts are listed and held ones counted, for whoever may approve them."""

from __future__ import annotations

from typing import Any

import pytest
from phones import work
from served import Served

from alerting.dispatch.evaluation import policies
from alerting.domain.principal import internal
from alerting.store.admin import api_keys

XML = {"Content-Type": "application/cap+xml"}


async def submit(served: Served, body: bytes) -> dict[str, Any]:
    answer = await served.http.post(
        "/v1/alerts?now=true", content=body, headers={**served.auth, **XML}
    )
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def held_gauge(served: Served) -> dict[str, str]:
    lines = (await served.http.get("/metrics")).text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("alerting_alerts_held{"))


async def test_approver_lists_held_alerts(served: Served, alert_xml: bytes) -> None:
    assert set((await held_gauge(served)).values()) == {"0"}
    for n in range(2):
        await submit(served, alert_xml.replace(b"flood-0001", b"flood-%d" % n))
    async with served.runtime.db.begin() as c:
        await policies.set_live(
            c, "[storm]\nat_least = 2\nusual_factor = 2\n", by=internal("other")
        )
    waits = await submit(served, alert_xml.replace(b"flood-0001", b"flood-held"))
    assert waits["state"] == "held"
    auth = await served.person("second", "read", "approve")
    answer = await served.http.get("/v1/alerts?state=held", headers=auth)
    (found,) = answer.json()["alerts"]
    assert (found["id"], found["severity"], answer.json()["next"]) == (waits["id"], "Severe", None)
    assert await held_gauge(served) == {
        'alerting_alerts_held{status="Actual"}': "1",
        'alerting_alerts_held{status="Exercise"}': "0",
        'alerting_alerts_held{status="Test"}': "0",
    }
    answer = await served.http.post(f"/v1/alerts/{waits['id']}/approval", headers=auth)
    assert answer.status_code == 200
    assert set((await held_gauge(served)).values()) == {"0"}
    answer = await served.http.get("/v1/alerts?state=held", headers=auth)
    assert answer.json() == {"alerts": [], "next": None}


async def test_list_needs_the_read_right(served: Served) -> None:
    assert (await served.http.get("/v1/alerts")).status_code == 401
    async with served.runtime.db.begin() as c:
        key = await api_keys.create(c, "mute", ["submit"], senders=("*",), by=internal("test"))
    answer = await served.http.get("/v1/alerts", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "state=open",
        "limit=0",
        "limit=101",
        "since=2026-11-01T00:00:00",
        "until=noon",
        "at=north",
        "geocode=ES104",
        "after=nothing",
    ],
)
async def test_list_refuses_bad_query(served: Served, query: str) -> None:
    answer = await served.http.get(f"/v1/alerts?{query}", headers=served.auth)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_status_says_nobody_was_reached(served: Served, alert_xml: bytes) -> None:
    sent = await submit(served, alert_xml)
    await work(served)
    found = (await served.http.get(f"/v1/alerts/{sent['id']}", headers=served.auth)).json()
    assert (found["severity"], found["event"], found["status"]) == (
        "Severe",
        "Storm surge",
        "Actual",
    )
    assert found["sent_at"].startswith("20")
    assert (found["state"], found["unheard"]) == ("completed", "Nobody is in its areas.")
    alarms = (await served.http.get("/v1/alarms", headers=served.auth)).json()["alarms"]
    assert [(a["kind"], a["subject"]) for a in alarms] == [("reached-nobody", sent["id"])]
