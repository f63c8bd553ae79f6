"""What is wrong with the system, as another system is told it."""

from __future__ import annotations

from served import Served
from sqlalchemy import select, update

from alerting.domain.principal import internal
from alerting.store.admin import api_keys, stored_alarms
from alerting.store.schema import alert, audit


async def wrong(served: Served) -> None:
    async with served.runtime.db.begin() as c:
        for _ in range(3):
            await stored_alarms.open_(c, "provider-down", "sms.1", "sms.1 fails.")
        await stored_alarms.open_(c, "provider-down", "sms.2", "sms.2 fails.")
        await stored_alarms.open_(c, "chunk-poisoned", "7", "Work 7 was set aside.")


async def test_alarms_are_listed_counted_and_closed(served: Served) -> None:
    assert (await served.http.get("/v1/alarms", headers=served.auth)).json() == {"alarms": []}
    await wrong(served)
    listed = (await served.http.get("/v1/alarms", headers=served.auth)).json()["alarms"]
    assert {(a["kind"], a["subject"], a["count"]) for a in listed} == {
        ("provider-down", "sms.1", 3), ("provider-down", "sms.2", 1), ("chunk-poisoned", "7", 1),
    }  # fmt: skip
    metrics = (await served.http.get("/metrics")).text
    assert 'alerting_alarms_open{kind="provider-down"} 2' in metrics
    [seen_to] = [a for a in listed if a["subject"] == "sms.1"]
    ada = await served.person("ada", "approve")
    for _ in range(2):
        answer = await served.http.post(f"/v1/alarms/{seen_to['id']}/close", headers=ada)
        assert answer.status_code == 200
        assert answer.json()["closed_by"] == "person:ada key:ada-1"
    left = (await served.http.get("/v1/alarms", headers=served.auth)).json()["alarms"]
    assert {a["subject"] for a in left} == {"sms.2", "7"}
    async with served.runtime.db.begin() as c:
        actors = (
            await c.execute(select(audit.c.actor).where(audit.c.action == "alarm.close"))
        ).scalars()
        assert set(actors) == {"person:ada key:ada-1"}


async def test_close_unknown_alarm_or_without_right(
    served: Served,
) -> None:
    await wrong(served)
    ada = await served.person("ada", "approve")
    answer = await served.http.post("/v1/alarms/999999/close", headers=ada)
    assert answer.status_code == 404
    async with served.runtime.db.begin() as c:
        reader = await api_keys.create(c, "reader", ["read"], senders=("*",), by=internal("test"))
        [first, *_] = await stored_alarms.open_alarms(c)
    auth = {"Authorization": f"Bearer {reader}"}
    assert (await served.http.get("/v1/alarms", headers=auth)).status_code == 200
    refused = await served.http.post(f"/v1/alarms/{first.id}/close", headers=auth)
    assert refused.status_code == 403
    assert (await served.http.get("/v1/alarms")).status_code == 401


async def test_submit_right_neither_reads_nor_closes(served: Served) -> None:
    await wrong(served)
    async with served.runtime.db.begin() as c:
        key = await api_keys.create(c, "gauges", ["submit"], senders=("*",), by=internal("test"))
        found = await stored_alarms.open_alarms(c)
    for alarm in found:
        url, auth = f"/v1/alarms/{alarm.id}/close", {"Authorization": f"Bearer {key}"}
        answer = await served.http.post(url, headers=auth)
        assert answer.status_code == 403
        assert alarm.sentence not in answer.text
    async with served.runtime.db.begin() as c:
        assert len(await stored_alarms.open_alarms(c)) == len(found)


async def test_held_alarm_is_not_closed_while_held(served: Served, alert_xml: bytes) -> None:
    answer = await served.http.post(
        "/v1/alerts?now=true",
        content=alert_xml,
        headers={**served.auth, "Content-Type": "application/cap+xml"},
    )
    id_ = answer.json()["id"]
    async with served.runtime.db.begin() as c:
        await c.execute(update(alert).values(state="held"))
        await stored_alarms.open_(c, stored_alarms.HELD, id_, "It waits.")
        [opened] = await stored_alarms.open_alarms(c)
    ada = await served.person("ada", "approve")
    url = f"/v1/alarms/{opened.id}/close"
    refused = await served.http.post(url, headers=ada)
    assert refused.status_code == 409
    assert f"Alert {id_} still waits for a second person." in refused.json()["detail"]
    async with served.runtime.db.begin() as c:
        assert await stored_alarms.is_open(c, stored_alarms.HELD, id_)
        await c.execute(update(alert).values(state="cancelled"))
    assert (await served.http.post(url, headers=ada)).status_code == 200
