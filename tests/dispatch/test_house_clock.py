"""A machine whose clock is wrong ends and deletes nothing, and says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from town import Town

from alerting.clock import ManualClock, SystemClock
from alerting.dispatch.workers.sweep import House
from alerting.store import alarms


@pytest.mark.parametrize("off_s", [-90, 90, 3600])
async def test_a_house_with_a_wrong_clock_keeps_none(
    town: Town, alert_xml: bytes, off_s: float
) -> None:
    submitted = await town.submit(alert_xml)
    async with town.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    wrong = ManualClock(SystemClock().now() + timedelta(seconds=off_s))
    parts = (town.db, SystemClock(), town.doorbell, town.settings)
    assert not await House(*parts, machine_clock=wrong).keep()
    async with town.db.begin() as c:
        state = await c.scalar(
            text("select state from alert where id = :id"), {"id": submitted.alert_id}
        )
        (alarm,) = await alarms.open_alarms(c)
    assert (state, alarm.kind) == ("accepted", "clock")
    assert await House(*parts, machine_clock=SystemClock()).keep()
    async with town.db.begin() as c:
        assert await c.scalar(text("select state from alert")) == "expired"
