"""A machine whose clock is wrong ends and deletes nothing, and says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import text

from alerting.clock import ManualClock, SystemClock
from alerting.dispatch.prune import Pruner
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.errors import Unavailable
from alerting.store.admin import stored_alarms


@pytest.mark.parametrize("off_s", [-90, 90, 3600])
async def test_maintenance_with_wrong_clock_does_nothing(
    harness: DispatchHarness, alert_xml: bytes, off_s: float
) -> None:
    submitted = await harness.submit(alert_xml)
    async with harness.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    wrong = ManualClock(SystemClock().now() + timedelta(seconds=off_s))
    parts = (harness.db, SystemClock(), harness.notifier, harness.settings)
    assert not await Maintenance(*parts, machine_clock=wrong).run_once()
    async with harness.db.begin() as c:
        state = await c.scalar(
            text("select state from alert where id = :id"), {"id": submitted.alert_id}
        )
        (alarm,) = await stored_alarms.open_alarms(c)
    assert (state, alarm.kind) == ("accepted", "clock")
    assert await Maintenance(*parts, machine_clock=SystemClock()).run_once()
    async with harness.db.begin() as c:
        assert await c.scalar(text("select state from alert")) == "expired"


@pytest.mark.parametrize("off_s", [-90, 90, 800 * 86_400])
async def test_prune_with_wrong_clock_deletes_nothing(
    harness: DispatchHarness, alert_xml: bytes, off_s: float
) -> None:
    submitted = await harness.submit(alert_xml)
    await harness.worker().sweep()
    years_ago = "now() - interval '9 years'"
    async with harness.db.begin() as c:
        await c.execute(
            text(
                f"update alert set state = 'completed', finished_at = {years_ago}, "  # noqa: S608
                f"submitted_at = {years_ago}, expires_at = {years_ago}"
            )
        )
    wrong = ManualClock(SystemClock().now() + timedelta(seconds=off_s))
    with pytest.raises(Unavailable, match=r"The clock of .* Nothing is pruned\."):
        await Pruner(harness.db, wrong, machine=wrong).run(1, actor="test")
    assert await harness.rows(submitted.alert_id)
    right = Pruner(harness.db, SystemClock(), machine=SystemClock())
    # It has looked: what is still in use stays.
    assert (await right.run(1, actor="test")).in_use == 1
