"""Who may do what by REST: every route that changes something, and whose alerts a key may send."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from served import Served, every_route
from sqlalchemy import func, select, update

from alerting.domain.alert import Status
from alerting.domain.ground import read_geojson
from alerting.domain.principal import RIGHTS, internal
from alerting.store.admin import api_keys, stored_people
from alerting.store.schema import alert, api_key, audit, policy

XML = {"Content-Type": "application/cap+xml"}
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
SILENCE = {
    "matchers": [{"field": "event", "value": "Flood"}], "ends_at": TOMORROW, "comment": "Test",
}  # fmt: skip

#: Each route that changes something, the right it needs, and a request that is right but for what
#: it names.
ROUTES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("POST", "/v1/alerts"): ("submit", {"content": b"<no", "headers": XML}),
    ("POST", "/v1/alerts/{alert}/approval"): ("approve", {}),
    ("POST", "/v1/alerts/{alert}/cancel"): ("submit", {"json": {"reason": "x"}}),
    ("POST", "/v1/events/merge"): ("approve", {"json": {"alert": "x", "other": "y"}}),
    ("POST", "/v1/events/split"): ("approve", {"json": {"alert": "x"}}),
    ("POST", "/v1/silences"): ("silence", {"json": SILENCE}),
    ("DELETE", "/v1/silences/{silence}"): ("silence", {}),
    ("PUT", "/v1/policy"): ("policy", {"content": b""}),
    ("POST", "/v1/alarms/{alarm}/close"): ("approve", {}),
}

#: Whoever has the address may ask these: Twilio signs its own, a citizen's link is the leave.
OPEN = {
    ("POST", "/webhooks/twilio/status"),
    ("POST", "/webhooks/twilio/message"),
    ("POST", "/u/{token}"),
    ("POST", "/u/{token}/back"),
}


def test_every_changing_route_is_in_the_table(served: Served) -> None:
    found = {
        (method, route.path)
        for route in every_route(served.app.routes)
        for method in (getattr(route, "methods", None) or set()) - {"GET", "HEAD"}
    }
    assert found == set(ROUTES) | OPEN


async def ask(served: Served, method: str, path: str, auth: dict[str, str]) -> httpx.Response:
    url = path.format(alert="x", silence="abcdef12", alarm=1)
    request = ROUTES[method, path][1]
    headers = {**request.get("headers", {}), **auth}
    return await served.http.request(method, url, **{**request, "headers": headers})


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def unusable(served: Served) -> dict[str, dict[str, str]]:
    """What is no key, or none any more, of persons who may do everything."""
    run, by = served.runtime, internal("test")
    made = {}
    async with run.db.begin() as c:
        owner = await stored_people.add(c, "ada", by=by, rights=RIGHTS, senders=("*",))
        gone = await stored_people.add(c, "gone", by=by, rights=RIGHTS, senders=("*",))
        for name in ("revoked", "expired", "wrong", "ended"):
            of = gone if name == "ended" else owner
            made[name] = await api_keys.create(c, name, RIGHTS, by=by, owner=of)
        await api_keys.revoke(c, "revoked", by=by)
        await c.execute(
            update(api_key).where(api_key.c.name == "expired").values(expires_at=func.now())
        )
        await stored_people.end(c, "gone", by=by)
    made["wrong"] = made["wrong"][:-1] + ("0" if made["wrong"][-1] != "0" else "1")
    found = {name: bearer(key) for name, key in made.items()}
    return found | {
        "none": {},
        "malformed": {"Authorization": "Bearer nonsense"},
        "unknown": bearer("ak_0000000000_" + "0" * 64),
        "NUL": bearer("ak_%00_x"),
    }


async def test_change_needs_a_valid_key(served: Served) -> None:
    for name, auth in (await unusable(served)).items():
        for method, path in ROUTES:
            answer = await ask(served, method, path, auth)
            assert answer.status_code == 401, (name, method, path, answer.text)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    async with served.runtime.db.begin() as c:
        assert await c.scalar(select(func.count()).select_from(policy)) == 0


@pytest.mark.parametrize("right", RIGHTS)
async def test_right_opens_only_its_routes(served: Served, right: str) -> None:
    auth = await served.person("ada", right)
    for (method, path), (needed, _) in ROUTES.items():
        answer = await ask(served, method, path, auth)
        if needed == right:
            assert answer.status_code not in {401, 403, 405, 500}, (method, path, answer.text)
        else:
            assert answer.status_code == 403, (method, path, answer.text)
            words = f"person:ada key:ada-1 does not have the right {needed!r}."
            assert answer.json()["detail"].startswith(words)


BOX = {
    "type": "Polygon",
    "coordinates": [[[2.3, 54.4], [2.7, 54.4], [2.7, 54.7], [2.3, 54.7], [2.3, 54.4]]],
}
ELSEWHERE = {"type": "Polygon", "coordinates": [[[10, 50], [11, 50], [11, 51], [10, 51], [10, 50]]]}


async def limited(served: Served, **limits: Any) -> dict[str, str]:
    async with served.runtime.db.begin() as c:
        values = {"senders": ("*",), **limits}
        key = await api_keys.create(
            c, "gauges", api_keys.USUAL_RIGHTS, by=internal("test"), **values
        )
    return bearer(key)


async def submit(served: Served, auth: dict[str, str], xml: bytes) -> httpx.Response:
    return await served.http.post("/v1/alerts?now=true", content=xml, headers={**auth, **XML})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"senders": ("gauges@example.org",)}, "does not speak for the sender centre@example.org"),
        ({"senders": ("*@example.net", "centre?@example.org")}, "does not speak for the sender"),
        ({"statuses": [Status.EXERCISE]}, "may not use the status Actual"),
        ({"area": read_geojson(ELSEWHERE)}, "own area, and area 1 of info 1 lies outside"),
    ],
)
async def test_key_is_limited_to_its_sender_status_and_area(
    served: Served, alert_xml: bytes, limits: dict[str, Any], words: str
) -> None:
    answer = await submit(served, await limited(served, **limits), alert_xml)
    assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")
    assert words in answer.json()["detail"]
    async with served.runtime.db.begin() as c:
        assert await c.scalar(select(func.count()).select_from(alert)) == 0


async def test_key_sends_within_its_limits(served: Served, alert_xml: bytes) -> None:
    auth = await limited(
        served, senders=("CENTRE@example.*",), statuses=[Status.ACTUAL], area=read_geojson(BOX)
    )
    assert (await submit(served, auth, alert_xml)).status_code == 202
    geocode = b"<geocode><valueName>SAME</valueName><value>000000</value></geocode></area>"
    answer = await submit(served, auth, alert_xml.replace(b"</area>", geocode))
    assert "the geocode it names is not known" in answer.json()["detail"]
    async with served.runtime.db.begin() as c:
        line = select(audit.c.actor).where(audit.c.action == "alert.submit")
        assert (await c.scalars(line)).all() == ["key:gauges"]


async def test_cancel_needs_own_sender_or_end_any(served: Served, alert_xml: bytes) -> None:
    alert_id = (await submit(served, served.auth, alert_xml)).json()["id"]
    url = f"/v1/alerts/{alert_id}/cancel"
    stranger = await limited(served, senders=("*@elsewhere.example",))
    for body in ({}, {"dry_run": True}):
        answer = await served.http.post(url, json=body, headers=stranger)
        assert answer.status_code == 403
        assert answer.json()["detail"] == (
            "key:gauges may not end an alert of centre@example.org. Whoever speaks for that "
            "sender may, or who has the right 'end-any' (`alerting people list`, `alerting keys "
            "list`)."
        )
    async with served.runtime.db.begin() as c:
        by = internal("test")
        owner = await stored_people.add(
            c, "chief", by=by, rights=["submit", "end-any"], senders=("chief@example.org",)
        )
        chief = bearer(await api_keys.create(c, "c-1", ["submit", "end-any"], by=by, owner=owner))
    assert (await submit(served, chief, alert_xml.replace(b"0001", b"2"))).status_code == 403
    answer = await served.http.post(url, json={"false_alarm": True}, headers=chief)
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled"), answer.text


@pytest.mark.parametrize(
    "limits", [{"statuses": [Status.EXERCISE]}, {"area": read_geojson(ELSEWHERE)}]
)
async def test_a_dry_run_of_a_cancel_is_refused_where_the_cancel_is(
    served: Served, alert_xml: bytes, limits: dict[str, Any]
) -> None:
    alert_id = (await submit(served, served.auth, alert_xml)).json()["id"]
    auth = await limited(served, **limits)
    answers = [
        await served.http.post(f"/v1/alerts/{alert_id}/cancel", json=body, headers=auth)
        for body in ({"dry_run": True}, {})
    ]
    assert [a.status_code for a in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()


async def test_approve_needs_matching_limits(served: Served, alert_xml: bytes) -> None:
    alert_id = (await submit(served, served.auth, alert_xml)).json()["id"]
    limits: list[dict[str, Any]] = [
        {"senders": ("*@elsewhere.example",)},
        {"senders": ("*",), "statuses": [Status.EXERCISE]},
        {"senders": ("*",), "area": read_geojson(ELSEWHERE)},
        {"senders": ("centre@*",), "area": read_geojson(BOX)},
    ]
    answers = []
    async with served.runtime.db.begin() as c:
        await c.execute(update(alert).values(state="held"))
        by, made = internal("test"), []
        for n, limit in enumerate(limits):
            owner = await stored_people.add(c, f"p-{n}", by=by, rights=["approve"], **limit)
            made.append(await api_keys.create(c, f"k-{n}", ["approve"], by=by, owner=owner))
    for key in made:
        url = f"/v1/alerts/{alert_id}/approval"
        answers.append((await served.http.post(url, headers=bearer(key))).status_code)
    assert answers == [403, 403, 403, 200]


async def test_key_has_at_most_current_rights_of_its_person(
    served: Served, alert_xml: bytes
) -> None:
    """A key from before may have had more than whom it is assigned to."""
    async with served.runtime.db.begin() as c:
        by = internal("test")
        owner = await stored_people.add(
            c, "ada", by=by, rights=["submit"], senders=("*@example.net",), area=read_geojson(BOX)
        )
        old = bearer(await api_keys.create(c, "old", ["submit", "read"], by=by, senders=("*",)))
        await c.execute(update(api_key).values(unassigned=True))
        found = await api_keys.assign(c, "old", owner=owner, by=by)
    assert found.principal.senders == ("*@example.net",)
    assert (await submit(served, old, alert_xml)).status_code == 403
    assert (await served.http.get("/v1/alerts/x", headers=old)).status_code == 403
    theirs = alert_xml.replace(b"centre@example.org", b"centre@example.net")
    answer = await submit(served, old, theirs)
    assert answer.status_code == 202, json.dumps(answer.json())
