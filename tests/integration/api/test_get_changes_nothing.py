"""GET changes nothing (invariant 17): every route of it, asked by somebody with every right."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from served import Served, every_route
from shapely import box
from sqlalchemy import text

from alerting.audience.synthetic import generate, store
from alerting.domain.principal import RIGHTS
from alerting.store.alerts import stored_alerts
from alerting.store.schema import metadata

#: Says who looked, which is its purpose.
_MAY_CHANGE = {"audit"}

#: A parameter of a path, with the word before it.
_PARAMETER = re.compile(r"(\b\w+|^)/{[^}]+}")


@pytest.fixture
async def names(served: Served, alert_xml: bytes) -> dict[str, str]:
    """The value of a path's parameter, by the word before it: an alert, a citizen it is for."""
    citizens = generate(
        3,
        box(2.40, 54.46, 2.62, 54.60),
        seed=7,
        make_push=lambda name: (f"https://push.example.org/{name}", {"p256dh": "p", "auth": "a"}),
        languages={"en": 1.0},
    )
    async with served.runtime.db.begin() as connection:
        await store(connection, citizens)
        address = await connection.scalar(text("select min(id) from address"))
    sent = await served.http.post(
        "/v1/alerts?now=true",
        content=alert_xml,
        headers={**served.auth, "Content-Type": "application/cap+xml"},
    )
    assert sent.status_code == 202, sent.text
    alert_id = UUID(sent.json()["id"])
    async with served.runtime.db.begin() as connection:
        stored = await stored_alerts.get(connection, alert_id)
    assert stored is not None
    return {
        "alerts": str(alert_id),
        "citizens": "synthetic-0",
        "a": str(alert_id),
        "x": served.runtime.links.page(alert_id),
        "u": served.runtime.links.token(int(address or 0)),
        "": stored.code or "",
    }


async def tables(served: Served) -> dict[str, str]:
    """A hash of all that each table holds."""
    found = {}
    async with served.runtime.db.begin() as connection:
        for name in metadata.tables:
            query = (
                f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {name} t"  # noqa: S608
            )
            found[name] = str(await connection.scalar(text(query)))
    return found


def filled(path: str, names: dict[str, str]) -> str:
    """The path with a value for each parameter, by what stands before it."""
    return _PARAMETER.sub(lambda found: f"{found[1]}/{names[found[1]]}", path)


async def test_get_changes_no_table_but_the_audit(served: Served, names: dict[str, str]) -> None:
    headers = await served.person("reader", *RIGHTS)
    before = await tables(served)
    answered = []
    for route in every_route(served.app.routes):
        if "GET" in (getattr(route, "methods", None) or ()):
            path = filled(route.path, names)
            answer = await served.http.get(path, headers=headers)
            assert answer.status_code < 400, (path, answer.status_code, answer.text)
            answered.append(path)
    assert len(answered) > 20
    after = await tables(served)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= _MAY_CHANGE
