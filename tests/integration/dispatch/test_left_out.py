"""Why somebody has no delivery: outside the areas, no participant, no address."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness
from shapely import Point
from sqlalchemy import delete, select, update

from alerting.cap import to_xml
from alerting.dispatch.evaluation.explain import explain
from alerting.domain.alert import Alert, MsgType, Scope, Status
from alerting.domain.geometry import ring_shape
from alerting.domain.principal import internal
from alerting.domain.retime import sent_now
from alerting.drills import rosters
from alerting.store.schema import address, citizen


async def why(harness: DispatchHarness, alert_id: UUID, ref: str) -> str:
    async with harness.db.begin() as c:
        (one,) = await explain(c, alert_id, ref, now=harness.clock.now())
    return one.sentence


async def planned(harness: DispatchHarness, alert: Alert) -> UUID:
    submitted = await harness.submit(to_xml(sent_now(alert, harness.clock.now())), now=False)
    await harness.worker().sweep()
    return submitted.alert_id


@pytest.fixture
def here_and_there(harness: DispatchHarness, flood: Alert) -> tuple[str, str]:
    """The register's keys of somebody in the area and of somebody far from it."""
    ground = ring_shape(flood.infos[0].areas[0].polygons[0].points)
    apart = [(ground.distance(Point(c.lon, c.lat)), c.ref) for c in harness.citizens]
    return min(apart)[1], max(apart)[1]


async def test_explain_public_alert_outside_area(
    harness: DispatchHarness, flood: Alert, here_and_there: tuple[str, str]
) -> None:
    here, there = here_and_there
    async with harness.db.begin() as c:
        mine = select(citizen.c.id).where(citizen.c.ref == here).scalar_subquery()
        await c.execute(delete(address).where(address.c.citizen_id == mine))
    alert_id = await planned(harness, flood)
    none = "No delivery was planned: the citizen"
    assert (
        await why(harness, alert_id, here)
        == f"{none} had no address, or came into its areas later."
    )
    assert await why(harness, alert_id, there) == f"{none} has no place or geocode in its areas."
    cancel = await harness.submit(await harness.cancel_of(alert_id), now=False)
    await harness.worker().sweep()
    assert await why(harness, cancel.alert_id, there) == (
        f"{none} had not been notified of the danger that it ends."
    )


async def test_explain_closed_group_without_membership(
    harness: DispatchHarness, flood: Alert, here_and_there: tuple[str, str]
) -> None:
    here, there = here_and_there
    async with harness.db.begin() as c:
        await c.execute(update(citizen).where(citizen.c.ref == there).values(groups=["staff"]))
    alert_id = await planned(
        harness, replace(flood, scope=Scope.PRIVATE, addresses=("staff",), msg_type=MsgType.ALERT)
    )
    assert "is not a participant: in none of the groups" in await why(harness, alert_id, here)
    assert "has no place or geocode in its areas" in await why(harness, alert_id, there)


async def test_explain_drill_without_membership(
    harness: DispatchHarness, flood: Alert, here_and_there: tuple[str, str]
) -> None:
    here, there = here_and_there
    async with harness.db.begin() as c:
        await rosters.create(c, "lighthouse", by="test")
        await rosters.add(c, "lighthouse", [there], source="form 7", by=internal("test").actor)
    alert_id = await planned(
        harness, replace(flood, status=Status.EXERCISE, addresses=("lighthouse",))
    )
    assert "is not a participant: on none of the rosters" in await why(harness, alert_id, here)
    assert "has no place or geocode in its areas" in await why(harness, alert_id, there)
