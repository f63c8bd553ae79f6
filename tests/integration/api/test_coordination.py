"""What coordinators do beside submitting: approve, merge, split, ask why."""

from __future__ import annotations

from typing import Any

import pytest
from phones import work
from served import Served

from alerting.audience.register import read_row
from alerting.dispatch.evaluation import policies
from alerting.domain.principal import internal
from alerting.store.citizens.import_citizens import merge
from alerting.store.db import raw

CITIZEN = {"ref": "c-1", "language": "en", "lat": "54.5", "lon": "2.5", "sms": "+447700900001"}


@pytest.fixture
async def second(served: Served) -> dict[str, str]:
    """Another person's key, with the right to approve."""
    auth = await served.person("second", "read", "approve")
    async with served.runtime.db.begin() as connection:
        driver = await raw(connection)
        await merge(driver, [read_row(CITIZEN)])
    return auth


async def submit(served: Served, body: bytes, auth: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await served.http.post(
        "/v1/alerts?now=true",
        content=body,
        headers={**(auth or served.auth), "Content-Type": "application/cap+xml"},
    )
    document: dict[str, Any] = answer.json()
    assert answer.status_code == 202, document
    return document


async def test_held_alert_needs_another_person(
    served: Served, second: dict[str, str], alert_xml: bytes
) -> None:
    async with served.runtime.db.begin() as connection:
        held = "[storm]\naudience_max = 1\nwindow_s = 60\nat_least = 2\nusual_factor = 2\n"
        await policies.set_live(connection, held, by=internal("test"))
    for n in range(2):
        await submit(served, alert_xml.replace(b"flood-0001", b"flood-%d" % n))
    third = await submit(served, alert_xml.replace(b"flood-0001", b"flood-held"))
    assert third["state"] == "held"
    assert "alerting approve" in str(third["notes"])
    url = f"/v1/alerts/{third['id']}/approval"
    assert (await served.http.post(url, headers=served.auth)).status_code == 403
    mine = await served.person("own", "submit", "approve")
    fourth = await submit(served, alert_xml.replace(b"flood-0001", b"flood-own"), mine)
    refused = await served.http.post(f"/v1/alerts/{fourth['id']}/approval", headers=mine)
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "Nobody approves their own alert. Let another coordinator approve it, with their own "
        "account or a key that its submitter has not made.",
    )
    for _ in range(2):
        answer = await served.http.post(url, headers=second)
        assert (answer.status_code, answer.json()["state"]) == (200, "accepted")
    again = await served.http.post(f"/v1/alerts/{third['id']}/approval", headers=mine)
    assert again.status_code == 409


async def test_explain_shows_answer_of_every_rule(
    served: Served, second: dict[str, str], alert_xml: bytes
) -> None:
    first = await submit(served, alert_xml)
    await work(served)
    url = f"/v1/alerts/{first['id']}/citizens/c-1"
    (notified,) = (await served.http.get(url, headers=served.auth)).json()["deliveries"]
    assert (notified["state"], notified["reason"]) == ("accepted", "new")
    assert (notified["before"], notified["after"]) == ("none", "active Severe Immediate Evacuate")
    deciding = [r for r in notified["rules"] if r["decides"]]
    assert [r["rule"] for r in deciding] == ["grave"]
    assert len(notified["rules"]) == 13
    assert all(r["answer"] and r["question"].endswith("?") for r in notified["rules"])
    copy = alert_xml.replace(b"flood-0001", b"flood-copy").replace(b"centre@", b"police@")
    second_alert = await submit(served, copy)
    await work(served)
    url = f"/v1/alerts/{second_alert['id']}/citizens/c-1"
    (spared,) = (await served.http.get(url, headers=served.auth)).json()["deliveries"]
    assert (spared["state"], spared["reason"]) in {
        ("suppressed", "covered"),
        ("suppressed", "text-only"),
    }
    assert spared["before"] == "active Severe Immediate Evacuate"
    missing = await served.http.get(
        f"/v1/alerts/{first['id']}/citizens/nobody", headers=served.auth
    )
    assert missing.status_code == 404


async def test_events_are_merged_and_split(
    served: Served, second: dict[str, str], alert_xml: bytes
) -> None:
    one = await submit(served, alert_xml)
    other = await submit(
        served,
        alert_xml.replace(b"flood-0001", b"quake").replace(b"Storm surge", b"Earthquake"),
    )
    pair = {"alert": one["id"], "other": other["id"]}
    assert (
        await served.http.post("/v1/events/merge", json=pair, headers=served.auth)
    ).status_code == 403
    merged = await served.http.post("/v1/events/merge", json=pair, headers=second)
    assert merged.status_code == 200
    split = await served.http.post("/v1/events/split", json={"alert": one["id"]}, headers=second)
    assert split.json()["event"] != merged.json()["event"] or split.status_code == 200
    again = await served.http.post("/v1/events/split", json={"alert": one["id"]}, headers=second)
    assert again.status_code == 409
    questions = await served.http.get("/v1/events/questions", headers=served.auth)
    assert questions.json() == {"questions": []}
