"""What a request may cost before anything of it is looked at."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import Response
from fastapi.routing import APIRoute
from served import Served, every_route
from starlette.types import Receive, Scope, Send

from alerting.api.access import Requires
from alerting.api.bounds import USUAL_BYTES, Bounded
from alerting.api.rate_limits import Rate, TooMany, network
from alerting.domain.principal import RIGHTS, internal
from alerting.observe.logs import configure
from alerting.store.admin import api_keys


@pytest.fixture
def rate_clock() -> Callable[[], float]:
    return lambda: 0.0


async def ask(
    served: Served, method: str, path: str, *, headers: dict[str, str], receive: Any
) -> tuple[int, dict[str, str], bytes]:
    """One request to the application by what `receive` says, and its answer."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    route, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": route,
        "raw_path": route.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(n.lower().encode(), v.encode()) for n, v in headers.items()],
        "client": ("203.0.113.7", 4711),
        "server": ("alerts.example.org", 443),
        "state": {},
    }
    await served.app(scope, receive, send)
    body = b"".join(m.get("body", b"") for m in sent[1:])
    return sent[0]["status"], {n.decode(): v.decode() for n, v in sent[0]["headers"]}, body


async def unread() -> dict[str, Any]:
    raise AssertionError("the body was read")


def endless(part: bytes = b"x" * 10_000) -> tuple[Any, list[int]]:
    read: list[int] = []

    async def receive() -> dict[str, Any]:
        read.append(len(part))
        return {"type": "http.request", "body": part, "more_body": True}

    return receive, read


def keyed(served: Served) -> list[tuple[str, str]]:
    found = []
    for route in every_route(served.app.routes):
        if isinstance(route, APIRoute) and any(
            isinstance(d.call, Requires) for d in route.dependant.dependencies
        ):
            found += [(method, route.path) for method in route.methods]
    return found


async def test_key_is_checked_before_the_body(served: Served) -> None:
    async with served.runtime.db.begin() as c:
        other = await api_keys.create(c, "other", ["silence"], senders=("*",), by=internal("test"))
    routes = keyed(served)
    assert len(routes) > 12
    for method, path in routes:
        for given, status in (
            ({}, 401),
            ({"Authorization": "Bearer ak_0_0"}, 401),
            ({"Authorization": f"Bearer {other}"}, 403),
        ):
            if path.startswith("/v1/silences") and status == 403:
                continue
            headers = {"Content-Type": "application/json", **given}
            answer, _, body = await ask(served, method, path, headers=headers, receive=unread)
            assert answer == status, (method, path, body)


@pytest.mark.parametrize(
    ("method", "path", "query", "said"),
    [
        ("POST", "/v1/alerts", "now=true&dryrun=true", "Did you mean 'dry_run'?"),
        ("POST", "/v1/alerts", "now=true&dry-run=true", "Did you mean 'dry_run'?"),
        ("POST", "/v1/alerts", "dry_run=true&dry_run=false", "is given 2 times"),
        ("POST", "/v1/alerts/example-flood-0001/cancel", "dry_run=true", "There are: none."),
        ("GET", "/v1/alerts", "status=held", "Did you mean 'state'?"),
        ("PUT", "/v1/policy", "dry_run=true", "There are: note."),
    ],
)
async def test_a_parameter_that_is_not_there_does_nothing_else(
    served: Served, alert_xml: bytes, method: str, path: str, query: str, said: str
) -> None:
    """Who mistypes `dry_run` would send the alert, or end it."""
    auth = await served.person("everybody", *RIGHTS)
    cap = {**auth, "Content-Type": "application/cap+xml"}
    first = alert_xml.replace(b"0001", b"0000")
    sent = await served.http.post("/v1/alerts?now=true", content=first, headers=cap)
    assert sent.status_code == 202
    path = path.replace("example-flood-0001", sent.json()["id"])
    body = b"" if path.endswith("cancel") else alert_xml
    answer = await served.http.request(method, f"{path}?{query}", content=body, headers=cap)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    found = (await served.http.get("/v1/alerts", headers=auth)).json()["alerts"]
    assert [(one["id"], one["state"]) for one in found] == [(sent.json()["id"], "accepted")]


async def test_several_values_of_a_list_are_taken(served: Served) -> None:
    answer = await served.http.get("/v1/alerts?state=held&state=accepted", headers=served.auth)
    assert answer.status_code == 200


async def test_declared_oversized_body_is_not_read(served: Served) -> None:
    for path, most in (
        ("/v1/silences", USUAL_BYTES),
        ("/v1/alerts", served.runtime.settings.max_alert_bytes),
        ("/nowhere", USUAL_BYTES),
        ("/u/x", USUAL_BYTES),
    ):
        headers = {"Content-Length": str(most + 1)}
        status, said, body = await ask(served, "POST", path, headers=headers, receive=unread)
        assert (status, said["content-type"]) == (413, "application/problem+json"), path
        assert f"{most:,} bytes" in json.loads(body)["detail"]
        assert said["connection"] == "close"


async def test_undeclared_oversized_body_is_read_to_the_limit(served: Served) -> None:
    for path, most in (
        ("/v1/silences", USUAL_BYTES),
        ("/webhooks/twilio/status", USUAL_BYTES),
        ("/v1/alerts", served.runtime.settings.max_alert_bytes),
    ):
        receive, read = endless()
        headers = {**served.auth, "Content-Type": "application/xml"}
        if path == "/v1/silences":
            headers = {**await served.person("keeper", "silence"), "Content-Type": "text/plain"}
        status, _, body = await ask(served, "POST", path, headers=headers, receive=receive)
        assert status == 413, (path, body)
        assert most < sum(read) <= most + 10_000


async def test_disconnect_leaves_no_traceback(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang_up() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    for path, headers in (
        ("/webhooks/twilio/status", {}),
        ("/webhooks/twilio/message", {}),
        ("/v1/alerts", {**served.auth, "Content-Type": "application/xml"}),
        ("/v1/alerts/x/cancel", {**served.auth, "Content-Type": "application/json"}),
    ):
        status, _, _ = await ask(served, "POST", path, headers=headers, receive=hang_up)
        assert status == 400, path
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_wrong_keys_do_not_block_valid_ones_of_the_network(served: Served) -> None:
    wrong = {"Authorization": "Bearer ak_0_0"}
    answers = [await served.http.get("/v1/alerts/x", headers=wrong) for _ in range(110)]
    assert {a.status_code for a in answers[:100]} == {401}
    assert answers[-1].status_code == 429
    assert (await served.http.get("/v1/alerts/x", headers=served.auth)).status_code == 404


async def test_rate_limit_of_one_network_spares_others(served: Served) -> None:
    for _ in range(1_100):
        answer = await served.http.get("/v1/alerts/x")
        if answer.status_code == 429:
            break
        assert answer.status_code == 401
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Ask again in" in answer.json()["detail"]
    # Whoever shares only the service with it does not notice.
    assert (await served.http.get("/healthz")).status_code == 200
    assert (await served.http.get("/readyz")).status_code == 200
    assert (await served.http.get("/citizen.css")).status_code == 200
    assert (await served.http.post("/webhooks/twilio/status")).status_code == 403

    async def nothing() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    status, _, _ = await ask(served, "GET", "/v1/alerts/x", headers=served.auth, receive=nothing)
    assert status == 404


async def test_rate_limit_of_a_key(served: Served) -> None:
    served.app.state.rates.key = Rate(1, burst_s=3, now_s=lambda: 0.0)
    answers = [await served.http.get("/v1/alerts/x", headers=served.auth) for _ in range(5)]
    assert [a.status_code for a in answers] == [404, 404, 404, 429, 429]
    other = await served.person("other", "read")
    assert (await served.http.get("/v1/alerts/x", headers=other)).status_code == 404


def test_rate_limit_recovers_and_forgets() -> None:
    now = 0.0
    rate = Rate(2, burst_s=2, now_s=lambda: now)
    for _ in range(4):
        rate.charge("a")
    with pytest.raises(TooMany) as refused:
        rate.charge("a")
    assert refused.value.wait_s == 1
    rate.charge("b")
    now = 0.5
    rate.charge("a")
    with pytest.raises(TooMany):
        rate.charge("a")
    for n in range(60_000):
        rate.charge(f"c{n}")
    # By now the first is forgotten.
    rate.charge("a")
    Rate(0).charge("a")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("nobody", "unknown"),
    ],
)
def test_network_of_address(address: str, expected: str) -> None:
    assert network(address) == expected


async def test_refusals_are_counted_and_logged_by_network(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refused() -> float:
        lines = (await served.http.get("/metrics")).text.splitlines()
        return sum(float(x.split()[-1]) for x in lines if x.startswith("alerting_http_refused_t"))

    before = await refused()
    # Whatever ran in this process before may log elsewhere.
    configure("INFO")
    await ask(served, "GET", "/v1/alerts/x", headers={}, receive=unread)
    assert await refused() == before + 1
    logged = capsys.readouterr()
    assert "203.0.113.0/24" in logged.out + logged.err
    assert "203.0.113.7" not in logged.out + logged.err


@pytest.mark.parametrize(
    "path", ["/webhooks/twilio/status", "/webhooks/twilio/message", "/healthz"]
)
async def test_twilio_webhooks_are_not_rate_limited(path: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=204)(scope, receive, send)

    pages = Rate(1, burst_s=2, now_s=lambda: 0.0)
    bounded = Bounded(app, bytes_by_path={}, keyed=Rate(1), pages=pages)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(bounded), base_url="https://alerts.example.org"
    ) as http:
        assert [(await http.get("/a/x")).status_code for _ in range(3)] == [204, 204, 429]
        assert {(await http.post(path)).status_code for _ in range(5)} == {204}
