"""Who did what is written, and can be read for an inquiry."""

from __future__ import annotations

from typing import Any

import pytest
from served import Served
from sqlalchemy import insert

from alerting.store.schema import citizen

XML = {"Content-Type": "application/cap+xml"}


async def audited(served: Served, **wanted: str) -> list[dict[str, Any]]:
    auditor = await served.person("auditor", "people", "read")
    answer = await served.http.get("/v1/audit", params=wanted, headers=auditor)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["lines"])


def shown(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["actor"], line["action"]) for line in lines]


async def submit(served: Served, body: bytes, auth: dict[str, str]) -> str:
    answer = await served.http.post(
        "/v1/alerts", params={"now": "true"}, content=body, headers={**auth, **XML}
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def test_audit_of_submit_and_cancel(served: Served, alert_xml: bytes) -> None:
    ada = await served.person("ada", "submit", "read")
    id_ = await submit(served, alert_xml, ada)
    answer = await served.http.post(
        f"/v1/alerts/{id_}/cancel",
        json={"reason": "A wrong gauge.", "false_alarm": True},
        headers=ada,
    )
    assert answer.status_code == 202, answer.text
    lines = await audited(served, alert=id_)
    by = "person:ada key:ada-1"
    assert shown(lines) == [(by, "alert.cancel"), (by, "alert.end"), (by, "alert.submit")]
    notice = answer.json()["notice"]["id"]
    assert lines[0]["detail"] == {
        "why": "A wrong gauge.",
        "false_alarm": True,
        "notice": notice,
        "told": 0,
    }
    assert lines[1]["detail"] == {"by": notice, "state": "cancelled"}


async def test_audit_of_hold_and_refused_approval(served: Served, alert_xml: bytes) -> None:
    ada = await served.person("ada", "submit", "read", "approve")
    many = [await submit(served, _numbered(alert_xml, n), ada) for n in range(30)]
    held = None
    for id_ in many:
        status = (await served.http.get(f"/v1/alerts/{id_}", headers=ada)).json()
        if status["state"] == "held":
            held = id_
            break
    assert held is not None
    answer = await served.http.post(f"/v1/alerts/{held}/approval", headers=ada)
    assert answer.status_code == 403
    bob = await served.person("bob", "approve", "read")
    assert (await served.http.post(f"/v1/alerts/{held}/approval", headers=bob)).status_code == 200
    lines = await audited(served, alert=held)
    assert shown(lines) == [
        ("person:bob key:bob-1", "alert.approve"),
        ("person:ada key:ada-1", "alert.approve-refused"),
        ("person:ada key:ada-1", "alert.hold"),
        ("person:ada key:ada-1", "alert.submit"),
    ]
    assert lines[1]["detail"]["why"] == "Nobody approves their own alert."
    assert lines[2]["detail"]["why"]


def _numbered(alert_xml: bytes, n: int) -> bytes:
    """Another alert of the same sender, not grave: a flood of them is held."""
    text = alert_xml.replace(b"<severity>Severe", b"<severity>Moderate")
    head, _, rest = text.partition(b"<identifier>")
    old, _, rest = rest.partition(b"</identifier>")
    return head + b"<identifier>" + old + f"-{n}".encode() + b"</identifier>" + rest


async def test_audit_of_look_ups(served: Served, alert_xml: bytes) -> None:
    async with served.runtime.db.begin() as c:
        await c.execute(insert(citizen).values(ref="S-1", channels=["sms"]))
    id_ = await submit(served, alert_xml, served.auth)
    for path in (f"/v1/alerts/{id_}/citizens/S-1", f"/v1/alerts/{id_}/deliveries"):
        assert (await served.http.get(path, headers=served.auth)).status_code == 200
    lines = await audited(served, alert=id_)
    assert shown(lines)[:2] == [("key:centre", "alert.deliveries"), ("key:centre", "alert.why")]
    assert lines[1]["detail"] == {"citizen": "S-1"}


async def test_audit_of_look_up_of_unknown_citizen(served: Served, alert_xml: bytes) -> None:
    id_ = await submit(served, alert_xml, served.auth)
    answer = await served.http.get(f"/v1/alerts/{id_}/citizens/nobody", headers=served.auth)
    assert answer.status_code == 404
    [line] = await audited(served, alert=id_, action="alert.why")
    assert (line["actor"], line["detail"]) == ("key:centre", {"citizen": "nobody"})


async def test_audit_of_forbidden_requests(served: Served, alert_xml: bytes) -> None:
    reader = await served.person("eve", "read")
    answer = await served.http.post("/v1/alerts", content=alert_xml, headers={**reader, **XML})
    assert answer.status_code == 403
    answer = await served.http.get("/v1/audit", headers=reader)
    assert answer.status_code == 403
    assert (await served.http.get("/v1/audit")).status_code == 401
    lines = await audited(served, actor="person:eve")
    assert [(x["action"], x["subject"], x["detail"]["method"]) for x in lines] == [
        ("request.refused", "/v1/audit", "GET"),
        ("request.refused", "/v1/alerts", "POST"),
    ]


async def test_audit_is_paged(served: Served) -> None:
    for n in range(5):
        await served.person(f"p{n}", "read")
    auditor = await served.person("auditor", "people")
    seen: list[int] = []
    wanted: dict[str, Any] = {"action": "person", "limit": 2}
    while True:
        page = (await served.http.get("/v1/audit", params=wanted, headers=auditor)).json()
        seen += [line["id"] for line in page["lines"]]
        if page["next"] is None:
            break
        wanted["before"] = page["next"]
    assert len(seen) == 6
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"alert": "nobody-knows"}, 404),
        ({"since": "yesterday"}, 422),
        ({"before": "0"}, 422),
        ({"limit": "5000"}, 422),
    ],
)
async def test_audit_refuses_bad_query(served: Served, wanted: dict[str, str], status: int) -> None:
    auditor = await served.person("auditor", "people")
    answer = await served.http.get("/v1/audit", params=wanted, headers=auditor)
    assert answer.status_code == status
