"""What a coordinator ends by a name: the one place that knows how the system finds it."""

from __future__ import annotations

from uuid import UUID

from dispatch_harness import DispatchHarness

from alerting.dispatch.intake.cancel import cancel, revoke_all
from alerting.domain.principal import Principal
from alerting.store.alerts import stored_alerts


async def call_off(
    harness: DispatchHarness, name: str | UUID, *, by: Principal, false_alarm: bool = False
) -> list[UUID]:
    """Cancel by id or by the sender's identifier, as the command does; returns the notices' ids."""
    if isinstance(name, UUID):
        alert_id, also = name, list[UUID]()
    else:
        async with harness.db.begin() as c:
            alert_id, *also = await stored_alerts.live_of_name(c, name)
    done = await cancel(
        harness.db,
        alert_id,
        also=also,
        principal=by,
        clock=harness.clock,
        notifier=harness.notifier,
        false_alarm=false_alarm,
    )
    await revoke_all(harness.db, harness.clock, done.ended)
    return [] if done.notice is None else [done.notice.alert_id]
