"""Every route, asked by everybody and with whatever comes: no answer is ours to be ashamed of."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from urllib.parse import quote

import pytest
from served import Served, every_route
from test_bounds import ask

from alerting.domain.principal import RIGHTS, internal
from alerting.settings import Settings
from alerting.store.admin import api_keys
from alerting.store.db import Database

#: What stands where a path names something; percent-encoded, as a client would send it.
NAMES = {
    "an id": "0b0e7a54-5d6e-4c8e-9a34-6f3f0f6f5a11",
    "a name": "example-flood-0001",
    "a number": "1",
    "less than nothing": "-1",
    "too large a number": str(2**63),
    "a number of thousands of digits": "9" * 5_000,
    "NUL": "a%00b",
    "a line end": "x%0a2026-11-27T00:00:00Z%20[info]%20FAKE",
    "half a character": "%ED%A0%80",
    "no UTF-8": "%FF%FE",
    "an empty name": "%20",
    "a long name": "n" * 20_000,
    "SQL": quote("' or 1=1; --", safe=""),
    "a path": "..%2f..%2fetc%2fpasswd",
}  # fmt: skip

BODIES = {
    "nothing": b"",
    "an object": b"{}",
    "a list": b"[]",
    "no JSON": b"{",
    "NUL": b'{"alert":"a\\u0000b","other":"a\\u0000b","reason":"\\u0000","comment":"\\u0000"}',
    "half a character": b'{"\\ud800":1,"alert":"\\ud800","other":"\\udfff","reason":"\\ud800"}',
    "a large number": b'{"alert":1e999,"other":' + b"9" * 5_000 + b"}",
    "deep": b"[" * 30_000,
    "much that is unknown": json.dumps({f"n{n}": n for n in range(4_000)}).encode(),
    "no text": b"\xff\xfe\xfd",
    "an alert that is none": b"<alert/>",
}  # fmt: skip

KINDS = ("application/json", "application/cap+xml", "text/plain", "multipart/form-data", "")


def routes(served: Served) -> Iterator[tuple[str, str]]:
    for route in every_route(served.app.routes):
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, route.path


def filled(path: str, value: str) -> str:
    parts = [value if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


@pytest.fixture
def api_settings(api_settings: Settings) -> Settings:
    """How often is another test's matter."""
    return api_settings.model_copy(update={"network_rate": 0, "key_rate": 0})


@pytest.fixture
async def callers(served: Served) -> dict[str, dict[str, str]]:
    """Whoever may come, by what they send."""
    found = {"nobody": {}, "a guess": {"Authorization": "Bearer ak_0123456789_" + "0" * 64}}
    found["another way"] = {"Authorization": "Basic YTpi"}
    found["an empty key"] = {"Authorization": "Bearer "}
    found["a long key"] = {"Authorization": "Bearer ak_" + "k" * 30_000}
    for right in sorted(RIGHTS):
        found[right] = await served.person(f"one-{right}", right)
    async with served.runtime.db.begin() as c:
        gone = await api_keys.create(c, "gone", ["read"], senders=("*",), by=internal("test"))
        await api_keys.revoke(c, "gone", by=internal("test"))
        other = await api_keys.create(
            c, "other", ["submit", "read"], senders=("else@example.org",), by=internal("test")
        )
    found["a key that was revoked"] = {"Authorization": f"Bearer {gone}"}
    found["another sender's key"] = {"Authorization": f"Bearer {other}"}
    return found


async def test_every_key_at_every_route(
    served: Served,
    callers: dict[str, dict[str, str]],
    alert_xml: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = await served.http.post(
        "/v1/alerts?now=true",
        content=alert_xml,
        headers={**served.auth, "Content-Type": "application/cap+xml"},
    )
    assert sent.status_code == 202
    for method, path in routes(served):
        for who, headers in callers.items():
            url = filled(path, "example-flood-0001")
            answer = await served.http.request(method, url, headers=headers)
            assert answer.status_code < 500 or path == "/readyz", (method, url, who, answer.text)
            if path.startswith("/v1/") and who in ("nobody", "a guess", "a key that was revoked"):
                assert answer.status_code == 401, (method, url, who)
            if answer.status_code >= 400 and path.startswith("/v1/"):
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"]
    state = await served.http.get("/v1/alerts/example-flood-0001", headers=served.auth)
    assert state.json()["identifier"] == "example-flood-0001"
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_odd_names_at_every_route(
    served: Served, callers: dict[str, dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    everything = await served.person("everybody", *RIGHTS)
    for method, path in routes(served):
        if "{" not in path:
            continue
        for name, value in NAMES.items():
            url = filled(path, value)
            for more in (
                "",
                "?after=9223372036854775808&limit=1",
                "?lang=%00",
                "?lang=" + "x" * 99,
            ):
                answer = await served.http.request(method, url + more, headers=everything)
                assert answer.status_code < 500, (method, path, name, more, answer.text)
                if path.startswith("/a/") and "%00" not in url + more and "%2f" not in url:
                    assert answer.headers["content-type"].startswith("text/html")
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


#: What stands where a query or a header has a value, percent-encoded as a client would send it.
VALUES = (
    *NAMES.values(), "", "true", "nan", "1e400", "%00", "0001-01-01T00:00:00%2B23:59",
    "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2026-11-28T00:00:00", "-90,180",
    "-90.0000000001,180", "91,181", "NaN,NaN", "%D9%A3,%D9%A3", "a=b", "SAME=000000", "=", "UGC=",
    "9999999999999999-" + "f" * 32, "-9999999999999999-" + "0" * 32, "%D9%A3-" + "0" * 32,
    "held", "citizen%20%ED%A0%80", "person:%25", "%25", "_",
)  # fmt: skip


async def test_odd_values_of_every_parameter(
    served: Served, alert_xml: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Forged cursors, times at the end of time, numbers in other scripts: each is answered."""
    everything = await served.person("everybody", *RIGHTS)
    cap = {**everything, "Content-Type": "application/cap+xml"}
    await served.http.post("/v1/alerts?now=true", content=alert_xml, headers=cap)
    tried = 0
    for path, calls in served.app.openapi()["paths"].items():
        for method, call in calls.items():
            for parameter in call.get("parameters", ()):
                if parameter["in"] != "query":
                    continue
                for value in VALUES:
                    url = f"{filled(path, 'example-flood-0001')}?{parameter['name']}={value}"
                    body = alert_xml if method == "post" else b""
                    answer = await served.http.request(method, url, content=body, headers=cap)
                    assert answer.status_code < 500, (method, url, answer.text)
                    tried += 1
    assert tried > 500
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_time_without_offset_is_nobodys(served: Served) -> None:
    everything = await served.person("everybody", *RIGHTS)
    for path in ("/v1/alerts", "/v1/audit"):
        for name in ("since", "until"):
            url = f"{path}?{name}=2026-11-28T00:00:00"
            answer = await served.http.get(url, headers=everything)
            assert answer.status_code == 422, url
            assert name in answer.json()["detail"]


async def test_odd_bodies_at_every_route(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    everything = await served.person("everybody", *RIGHTS)
    for method, path in routes(served):
        if method in ("GET", "HEAD"):
            continue
        for name, body in BODIES.items():
            for kind in KINDS:
                headers = {**everything, **({"Content-Type": kind} if kind else {})}
                answer = await served.http.request(
                    method, filled(path, "x"), content=body, headers=headers
                )
                assert answer.status_code < 500, (method, path, name, kind, answer.text)
                assert len(answer.content) < 20_000, (method, path, name, kind)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_random_bytes_at_every_route(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes by chance where names, values and bodies stand."""
    rng = Random(7)
    everything = await served.person("everybody", *RIGHTS)
    letters = [chr(c) for c in range(0x21, 0x7F) if chr(c) not in "#?/"] + ["%00", "%F0", "%C3%BC"]
    for method, path in routes(served):
        for _ in range(10):
            noise = "".join(rng.choices(letters, k=rng.randint(1, 60)))
            url = f"{filled(path, quote(noise, safe='%'))}?{quote(noise, safe='%&=')}"
            answer = await served.http.request(
                method, url, content=rng.randbytes(rng.randint(0, 200)), headers=everything
            )
            assert answer.status_code < 500, (method, url, answer.text)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "host", ["evil.example", "", "[", "[::1", "a b", "x:y:z", "h" * 10_000, "\xff", "a/../b"]
)
async def test_host_header_is_never_reflected(served: Served, host: str) -> None:
    async def nothing() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    for method, path in routes(served):
        for url in (filled(path, "x"), filled(path, "x") + "/", "//" + host):
            status, headers, body = await ask(
                served, method, url, headers={"Host": host}, receive=nothing
            )
            assert status < 500, (method, url, body)
            assert "location" not in headers
            assert host not in body.decode("latin-1") or len(host) < 4 or host in url


async def test_engine_addresses_are_never_disclosed(served: Served, database_url: str) -> None:
    parts = [p for p in database_url.replace("?", "/").replace("&", "/").split("/") if len(p) > 5]
    absent = Database("postgresql://secret-login@/nothing?host=/nowhere/secret-folder")
    served.app.state.runtime = replace(served.runtime, db=absent)
    for method, path in routes(served):
        answer = await served.http.request(
            method, filled(path, "0b0e7a54-5d6e-4c8e-9a34-6f3f0f6f5a11"), headers=served.auth
        )
        for notified in ("secret-folder", "nowhere", "secret-login", "postgresql", *parts):
            assert notified not in answer.text, (method, path, notified)
    metrics = await served.http.get("/metrics")
    assert (metrics.status_code, "alerting_database_up 0" in metrics.text) == (200, True)
