from __future__ import annotations

import json

import pytest
from fastapi.routing import APIRoute
from served import Served, every_route
from sqlalchemy import func, select, text

from alerting.cap import read, to_json
from alerting.domain.principal import internal
from alerting.store import schema
from alerting.store.admin import api_keys

XML = {"Content-Type": "application/cap+xml"}

#: Whoever has the address may ask these; each says why.
OPEN = {
    "/healthz", "/readyz", "/metrics",  # machines of the operator
    "/docs", "/docs.css",  # no secret
    "/webhooks/twilio/status",  # signed by Twilio
    "/webhooks/twilio/message",
    "/{code:code}", "/a/{alert_id}", "/x/{token}", "/citizen.css",  # citizens
    "/u/{token}", "/u/{token}/back",
}  # fmt: skip


async def post(served: Served, body: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    answer = await served.http.post(
        "/v1/alerts?now=true", content=body, headers={**served.auth, **XML, **headers}
    )
    return answer.status_code, answer.json()


async def test_submit_status_and_deliveries(served: Served, alert_xml: bytes) -> None:
    status, document = await post(served, alert_xml)
    assert (status, document["created"], document["lane"]) == (202, True, "severe")
    found = (await served.http.get(f"/v1/alerts/{document['id']}", headers=served.auth)).json()
    assert found["state"] == "accepted"
    assert found["identifier"] == "example-flood-0001"
    by_name = await served.http.get("/v1/alerts/example-flood-0001", headers=served.auth)
    assert by_name.json()["id"] == document["id"]
    page = await served.http.get(f"/v1/alerts/{document['id']}/deliveries", headers=served.auth)
    assert page.json() == {"deliveries": [], "next": None}
    cap = await served.http.get(f"/v1/alerts/{document['id']}/cap", headers=served.auth)
    assert read(cap.content).alerts[0].identifier == "example-flood-0001"


async def test_submit_accepts_json(served: Served, alert_xml: bytes) -> None:
    body = json.dumps(to_json(read(alert_xml).alerts[0])).encode()
    status, document = await post(served, body, **{"Content-Type": "application/json"})
    assert status == 202, document


async def test_submit_with_tell_again(served: Served, alert_xml: bytes) -> None:
    answer = await served.http.post(
        "/v1/alerts?now=true&tell_again=true", content=alert_xml, headers={**served.auth, **XML}
    )
    assert answer.status_code == 202, answer.text
    cap = await served.http.get("/v1/alerts/example-flood-0001/cap", headers=served.auth)
    assert all(i.tell_again for i in read(cap.content).alerts[0].infos)


async def test_submit_dry_run_changes_nothing(served: Served, alert_xml: bytes) -> None:
    address = "/v1/alerts?now=true&dry_run=true"
    answer = await served.http.post(address, content=alert_xml, headers={**served.auth, **XML})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["dry_run"], found["state"], found["lane"]) == (True, "accepted", "severe")
    assert found["people"]["margin"] == 0
    assert found["area_km2"] > 0
    refused = alert_xml.replace(b">Severe<", b">Sever<")
    answer = await served.http.post(address, content=refused, headers={**served.auth, **XML})
    assert answer.status_code == 422
    async with served.runtime.db.begin() as c:
        for table in (schema.alert, schema.outbox, schema.alarm):
            assert await c.scalar(select(func.count()).select_from(table)) == 0, table


async def test_submit_refuses_mistyped_word_in_xml_and_json(
    served: Served, alert_xml: bytes
) -> None:
    body = to_json(read(alert_xml).alerts[0])
    body["info"][0]["severity"] = "Sever"
    for document, kind in (
        (alert_xml.replace(b">Severe<", b">Sever<"), "application/cap+xml"),
        (json.dumps(body).encode(), "application/json"),
    ):
        status, problem = await post(served, document, **{"Content-Type": kind})
        assert status == 422
        assert "Did you mean Severe?" in str(problem["detail"])


async def test_submit_is_idempotent_by_key(served: Served, alert_xml: bytes) -> None:
    first = await post(served, alert_xml, **{"Idempotency-Key": "k1"})
    again = await post(served, alert_xml, **{"Idempotency-Key": "k1"})
    assert (first[0], again[0]) == (202, 200)
    assert first[1]["id"] == again[1]["id"]
    other = await post(served, alert_xml + b" ", **{"Idempotency-Key": "k1"})
    assert other[0] == 422
    assert "used before with another body" in str(other[1]["detail"])


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"<no", {}, 422, "XML"),
        (b"<alert/>", {}, 422, ""),
        (b"x", {"Content-Type": "text/plain"}, 415, "Use application/cap+xml"),
        (b" " * 2_000_001, {}, 413, "larger than 2,000,000 bytes"),
    ],
)
async def test_submit_refuses_bad_input_unchanged(
    served: Served, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    got, problem = await post(served, body, **headers)
    assert got == status == problem["status"]
    assert words in str(problem["detail"])
    async with served.runtime.db.begin() as c:
        count = await c.exec_driver_sql("select count(*) from alert")
        assert count.scalar() == 0


async def test_every_route_needs_a_key_with_known_exceptions(served: Served) -> None:
    seen = set()
    for route in every_route(served.app.routes):
        path = getattr(route, "path", "")
        if not isinstance(route, APIRoute) or path in OPEN:
            seen.add(path)
            continue
        for method in route.methods:
            url = path.replace("{alert}", "x")
            answer = await served.http.request(method, url)
            assert answer.status_code == 401, (method, path)
            assert "API key" in answer.json()["detail"]
    assert seen >= OPEN


async def test_key_without_right_and_revoked_key(served: Served, alert_xml: bytes) -> None:
    async with served.runtime.db.begin() as c:
        reader = await api_keys.create(c, "reader", ["read"], senders=("*",), by=internal("test"))
    answer = await served.http.post(
        "/v1/alerts", content=alert_xml, headers={"Authorization": f"Bearer {reader}", **XML}
    )
    assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")
    async with served.runtime.db.begin() as c:
        await api_keys.revoke(c, "reader", by=internal("test"))
    answer = await served.http.get("/v1/alerts/x", headers={"Authorization": f"Bearer {reader}"})
    assert answer.status_code == 401
    wrong = served.key[:-1] + ("0" if served.key[-1] != "0" else "1")
    answer = await served.http.get("/v1/alerts/x", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/v1/alerts", 405), ("POST", "/v1/alarms/x/close", 401)],
)
async def test_every_error_is_a_problem_document(
    served: Served, method: str, url: str, status: int
) -> None:
    answer = await served.http.request(method, url)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_unknown_alert_is_404(served: Served) -> None:
    answer = await served.http.get("/v1/alerts/unknown", headers=served.auth)
    said = "There is no alert unknown. `alerting list` (GET /v1/alerts) shows them."
    assert (answer.status_code, answer.json()["detail"]) == (404, said)


async def test_health_readiness_and_metrics(served: Served) -> None:
    assert (await served.http.get("/healthz")).json() == {"status": "alive"}
    ready = await served.http.get("/readyz")
    assert ready.json() == {"ready": True, "schema": True, "database": True, "redis": True}
    metrics = (await served.http.get("/metrics")).text
    assert 'alerting_outbox_open{lane="extreme"} 0' in metrics
    assert 'route="/healthz",status="200"' in metrics


async def test_reference_page_is_complete_and_self_contained(served: Served) -> None:
    page = (await served.http.get("/docs")).text
    assert "/v1/alerts" in page
    for loads in ("<script", "<img", "src=", 'href="http', "url(", "@import"):
        assert loads not in page, loads
    # Every field of every answer is on it.
    for name, model in served.app.openapi()["components"]["schemas"].items():
        assert f'id="{name}"' in page
        assert all(f"<code>{field}</code>" in page for field in model.get("properties", {}))
    assert (await served.http.get("/docs.css")).status_code == 200


async def test_database_without_migrations_is_reported(served: Served) -> None:
    async with served.runtime.db.begin() as connection:
        await connection.execute(text("alter table alarm rename to alarm_of_later"))
        await connection.execute(text("update alembic_version set version_num = '0001'"))
    answer = await served.http.get("/v1/alarms", headers=served.auth)
    assert answer.status_code == 503
    assert "The database's schema is at 0001" in answer.json()["detail"]
    assert answer.json()["detail"].endswith("Run `alerting migrate`.")
