"""What a coordinator ends by a name: the one place that knows how the system finds it."""

from __future__ import annotations

from uuid import UUID

from town import Town

from alerting.dispatch.intake.cancel import call_back_all, cancel
from alerting.domain.principal import Principal
from alerting.store import alerts


async def call_off(
    town: Town, name: str | UUID, *, by: Principal, false_alarm: bool = False
) -> list[UUID]:
    """Cancel by id or by the sender's identifier, as the command does; returns the notices' ids."""
    if isinstance(name, UUID):
        alert_id, also = name, list[UUID]()
    else:
        async with town.db.begin() as c:
            alert_id, *also = await alerts.standing(c, name)
    done = await cancel(
        town.db,
        alert_id,
        also=also,
        principal=by,
        clock=town.clock,
        doorbell=town.doorbell,
        false_alarm=false_alarm,
    )
    await call_back_all(town.db, town.clock, done.ended)
    return [] if done.notice is None else [done.notice.alert_id]
