"""`/v1/policy` and `/v1/silences`, asked as a centre's own system asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from served import Served

from alerting.store.admin import policy_versions as store
from alerting.throttle.policy.parse import default_policy, default_toml

COORDINATOR = "person:coordinator key:coordinator-1"
TOML = "[budget]\nspacing_s = 60\n"


@pytest.fixture
async def coordinator(served: Served) -> dict[str, str]:
    """A key that may do all of it; the one of `served` may only read and submit."""
    return await served.person("coordinator", "read", "policy", "silence")


def a_silence(**changes: Any) -> dict[str, Any]:
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    document: dict[str, Any] = {
        "matchers": [{"field": "event", "value": "Flood"}],
        "ends_at": ends_at.isoformat(),
        "comment": "The dam is being tested.",
    }
    return document | changes


async def test_default_policy_is_shown(served: Served) -> None:
    answer = await served.http.get("/v1/policy", headers=served.auth)
    document = answer.json()
    assert (document["version"], document["toml"]) == (0, default_toml())
    assert document["policy"] == default_policy().model_dump(mode="json", by_alias=True)


async def test_set_policy_records_who_and_why(served: Served, coordinator: dict[str, str]) -> None:
    for _ in range(2):
        answer = await served.http.put(
            "/v1/policy?note=Louder", content=TOML.encode(), headers=coordinator
        )
        assert answer.status_code == 200
    shown = (await served.http.get("/v1/policy", headers=served.auth)).json()
    assert shown == answer.json()
    assert (shown["changed_by"], shown["note"]) == (COORDINATOR, "Louder")
    assert shown["policy"]["budget"]["spacing_s"] == 60
    async with served.runtime.db.begin() as connection:
        assert len(await store.history(connection)) == 1


async def test_set_policy_reports_each_error(served: Served, coordinator: dict[str, str]) -> None:
    bad = b"[budget]\nspacing = 1\n[quiet]\nto = 7\n"
    answer = await served.http.put("/v1/policy", content=bad, headers=coordinator)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(e["line"], e["key"]) for e in answer.json()["errors"]] == [
        (2, "budget.spacing"), (4, "quiet.to"),
    ]  # fmt: skip
    for body, status in ((b"\xff", 422), (b"#" * 300_000, 413)):
        answer = await served.http.put("/v1/policy", content=body, headers=coordinator)
        assert answer.status_code == status
    answer = await served.http.put("/v1/policy?note=%00", content=b"", headers=coordinator)
    assert answer.status_code == 422
    async with served.runtime.db.begin() as connection:
        assert await store.history(connection) == []


async def test_silences_are_created_listed_and_ended(
    served: Served, coordinator: dict[str, str]
) -> None:
    body = a_silence(area={"circle": ["50,8 10"]})
    answer = await served.http.post("/v1/silences", json=body, headers=coordinator)
    made = answer.json()
    assert answer.status_code == 201, made
    assert (made["created_by"], made["area"]) == (COORDINATOR, {"circle": ["50,8 10"]})
    listed = await served.http.get("/v1/silences", headers=served.auth)
    assert listed.json() == {"silences": [made]}
    url = f"/v1/silences/{made['id']}"
    assert (await served.http.delete(url, headers=coordinator)).json()["ended_by"] == COORDINATOR
    assert (await served.http.delete(url, headers=coordinator)).status_code == 404
    assert (await served.http.get("/v1/silences", headers=served.auth)).json() == {"silences": []}
    over = await served.http.get("/v1/silences?over=true", headers=served.auth)
    assert [s["id"] for s in over.json()["silences"]] == [made["id"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"matchers": []}, "would mute every alert"),
        ({"matchers": [{"field": "severity", "value": "Extreme"}]}, "never silenced"),
        ({"matchers": [{"field": "event", "op": "~", "value": "(a+)+"}]}, "repeats a group"),
        ({"matchers": [{"field": "event", "op": "like", "value": "x"}]}, "matchers.0.op"),
        ({"matchers": [{"field": "event", "value": "\0"}]}, "what is no text"),
        ({"ends_at": "2026-11-01T06:00:00"}, "need an offset"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "at most 7 days"),
        ({"comment": "\0"}, "needs a comment"),
        ({"area": {"polygon": ["1,1"]}}, "polygon.0"),
        ({"area": {}}, "The area is empty"),
        ({"for": "2h"}, "for"),
    ],
)
async def test_bad_silence_is_refused(
    served: Served, coordinator: dict[str, str], changes: dict[str, Any], words: str
) -> None:
    answer = await served.http.post("/v1/silences", json=a_silence(**changes), headers=coordinator)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    listed = await served.http.get("/v1/silences?over=true", headers=served.auth)
    assert listed.json() == {"silences": []}


async def test_changes_need_the_right(served: Served) -> None:
    asked = [
        await served.http.put("/v1/policy", content=TOML.encode(), headers=served.auth),
        await served.http.post("/v1/silences", json=a_silence(), headers=served.auth),
        await served.http.delete("/v1/silences/abcdef", headers=served.auth),
    ]
    assert [a.status_code for a in asked] == [403, 403, 403]
