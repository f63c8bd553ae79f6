"""Told: the audience of a Cancel, which is whoever heard of its thread."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert
from alerting.domain.citizen import Recipient, Target
from alerting.domain.language import best_info
from alerting.store import planned
from alerting.store import reached as store
from alerting.store.alerts import StoredAlert


async def reached(
    connection: AsyncConnection,
    stored: StoredAlert,
    alert: Alert,
    *,
    batch: int,
    not_planned_for: UUID | None = None,
) -> AsyncGenerator[list[Recipient]]:
    """A cancel's audience: whoever was told of its thread, by the ways they were told.

    not_planned_for: leave out whom the ledger has for this alert.
    """
    candidates = list(enumerate(alert.infos))
    async with aclosing(store.reached(connection, stored.thread_id, batch=batch)) as parts:
        async for part in parts:
            found = [
                Recipient(
                    citizen_id,
                    language,
                    best_info(candidates, language) if candidates else -1,
                    -1,
                    tuple(Target(r.channel, r.address_id, True) for r in same),
                )
                for (citizen_id, language), same in groupby(
                    part, key=lambda r: (r.citizen_id, r.language)
                )
            ]
            if not_planned_for is not None:
                ids = [r.citizen_id for r in found]
                known = set(await planned.planned(connection, not_planned_for, ids))
                found = [r for r in found if r.citizen_id not in known]
            if found:
                yield found
