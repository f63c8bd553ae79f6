"""Alerts are found by what is known of them, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dispatch_harness import DispatchHarness

from alerting.cap import to_xml
from alerting.dispatch.evaluation import policies
from alerting.dispatch.listing import Page, Wanted, area_of, page
from alerting.domain.alert import Alert, Area, Circle, MsgType, NamedValue
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import internal
from alerting.errors import BadInput

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

HERE = "54.52,2.49"
FAR = Area("Far", circles=(Circle(10.0, 20.0, 5.0),))
CODED = Area("Coded", geocodes=(NamedValue("EMMA_ID", "ES104"),))


@pytest.fixture
async def stored(harness: DispatchHarness, flood: Alert) -> list[str]:
    """Four alerts a minute apart: here, held; far; coded, of another sender; a record of one."""
    harness.begin_at(NOON)
    async with harness.db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 1\n", by=internal("other"))
    (area,) = flood.infos[0].areas
    alerts = [
        ("here", {}, area),
        ("far", {}, FAR),
        ("coded", {"sender": "Other@example.org"}, CODED),
        ("ack", {"msg_type": MsgType.ACK}, area),
    ]
    for n, (name, changes, where) in enumerate(alerts):
        sent = NOON + timedelta(minutes=n)
        info = replace(flood.infos[0], areas=(where,), expires=NOON + timedelta(hours=8))
        alert = replace(flood, identifier=name, sent=sent, infos=(info,))
        await harness.submit(to_xml(replace(alert, **changes)), now=False)  # type: ignore[arg-type]
    return [name for name, _, _ in alerts]


async def listed(harness: DispatchHarness, wanted: Wanted, **options: object) -> Page:
    async with harness.db.begin() as c:
        return await page(c, wanted, **options)  # type: ignore[arg-type]


#: what is asked → the identifiers found, the last sent first
ASKED: list[tuple[Mapping[str, object], list[str]]] = [
    ({}, ["ack", "coded", "far", "here"]),
    ({"states": [AlertState.HELD]}, ["here"]),
    ({"states": [AlertState.HELD, AlertState.RECORDED]}, ["ack", "here"]),
    ({"sender": "other@EXAMPLE.org"}, ["coded"]),
    ({"sender": "nobody@example.org"}, []),
    ({"since": NOON + timedelta(minutes=1), "until": NOON + timedelta(minutes=3)},
     ["coded", "far"]),
    ({"where": area_of(HERE, None)}, ["ack", "here"]),
    ({"where": area_of("10.01,20.01", None)}, ["far"]),
    ({"where": area_of("-10,20", None)}, []),
    ({"where": area_of(None, "EMMA_ID=ES104")}, ["coded"]),
    ({"where": area_of(HERE, "EMMA_ID=ES104")}, ["ack", "coded", "here"]),
    ({"where": area_of(HERE, None), "states": [AlertState.HELD]}, ["here"]),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "names"), ASKED)
async def test_list_filters_and_pages(
    harness: DispatchHarness, stored: list[str], asked: Mapping[str, object], names: list[str]
) -> None:
    wanted = Wanted(**asked)  # type: ignore[arg-type]
    assert [a["identifier"] for a in (await listed(harness, wanted)).alerts] == names
    # By pages of one it is the same, and the last page says so.
    found: list[str] = []
    after: str | None = None
    for _ in range(9):
        one = await listed(harness, wanted, after=after, limit=1)
        found += [a["identifier"] for a in one.alerts]
        after = one.next
        if after is None:
            break
    assert (found, after) == (names, None)


async def test_list_entry_has_state_and_reason(harness: DispatchHarness, stored: list[str]) -> None:
    (held,) = (await listed(harness, Wanted(states=[AlertState.HELD]))).alerts
    assert (held["event"], held["severity"], held["state"]) == ("Storm surge", "Severe", "held")
    assert (held["sent"], held["status"]) == ("2026-11-24T12:00:00+00:00", "Actual")
    assert "more than the 1 that one person may alert" in held["state_reason"]
    # Nobody has counted the audience of what is not planned.
    assert held["audience"] is None


@pytest.mark.parametrize("at", ["54.5", "54.5,2.5,3", "91,0", "0,181", "north,east", "1e2,0"])
def test_list_refuses_bad_point(at: str) -> None:
    with pytest.raises(BadInput, match=r"is no point\. Write its latitude and longitude"):
        area_of(at, None)


@pytest.mark.parametrize("code", ["ES104", "=ES104", "EMMA_ID="])
def test_list_refuses_bad_geocode(code: str) -> None:
    with pytest.raises(BadInput, match="is no geocode"):
        area_of(None, code)


@pytest.mark.parametrize("after", ["", "1", "x-" + "0" * 32, "9" * 17 + "-" + "0" * 32])
async def test_list_refuses_bad_page_token(harness: DispatchHarness, after: str) -> None:
    with pytest.raises(BadInput, match="follows no page"):
        await listed(harness, Wanted(), after=after)
