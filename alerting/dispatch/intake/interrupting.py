"""Interrupting: estimates how many people an update will interrupt, for the answer to its sender.

The rules that decide the deliveries are applied to a sample of the audience; nothing is changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience import FEW
from alerting.audience.sample import sample
from alerting.clock import Clock
from alerting.dispatch.intake.foresee import Hears, foresee
from alerting.domain.alert import MsgType
from alerting.domain.alert_state import AlertState
from alerting.observe.logs import logger
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database
from alerting.store.limits import limit_statements

log = logger(__name__)

#: Size of the sample; a smaller audience is evaluated completely.
_MOST = 500

#: Limit of one database statement, in milliseconds: the answer to a submission waits for it.
_TIMEOUT_MS = 500


async def interrupting(
    db: Database,
    stored: StoredAlert,
    *,
    clock: Clock,
    all_channels_lanes: Collection[str],
    discreet: bool,
) -> list[str]:
    """Estimate how many people a public update interrupts, as a note; no note for other alerts.

    Returns no note either when the estimate fails or takes too long: the alert has been accepted
    already.

    Args:
        discreet: The sender may not read the register; numbers are rounded to the nearest ten.
    """
    if not _is_update(stored):
        return []
    try:
        async with db.begin() as connection:
            await limit_statements(connection, _TIMEOUT_MS)
            return [await _sentence(connection, stored, clock, all_channels_lanes, discreet)]
    except Exception:
        log.exception("submission.not_foreseen", alert=str(stored.id))
        return []


def _is_update(stored: StoredAlert) -> bool:
    return (
        stored.msg_type == MsgType.UPDATE
        and not stored.ends
        and stored.for_public
        and stored.state in {AlertState.ACCEPTED, AlertState.DELIVERING, AlertState.HELD}
    )


async def _sentence(
    connection: AsyncConnection,
    stored: StoredAlert,
    clock: Clock,
    all_channels_lanes: Collection[str],
    discreet: bool,
) -> str:
    alert, now = stored.alert, clock.now()
    found = await sample(connection, alert, most=_MOST, now=now, seed=stored.id.int)
    best: dict[int, Hears] = defaultdict(lambda: Hears.NOTHING)
    for one in await foresee(
        connection, stored, found.recipients, now=now, all_channels_lanes=all_channels_lanes
    ):
        citizen_id = one.delivery.citizen_id
        best[citizen_id] = max(best[citizen_id], one.hears)
    people = len(found.recipients)
    counts = Counter(best[r.citizen_id] for r in found.recipients)
    return _said(counts, people, found.weight, discreet)


def _said(counts: Counter[Hears], people: int, weight: float, discreet: bool) -> str:
    if discreet and people < FEW:
        return f"It interrupts fewer than {FEW} people, perhaps nobody: its areas hold no more."

    def number(count: float) -> str:
        if discreet and weight == 1:
            return f"about {round(count, -1):,.0f}" if count >= FEW else f"fewer than {FEW}"
        return f"{count:,.0f}" if weight == 1 else f"about {round(count * weight, -2) or 100:,.0f}"

    if not people:
        return "It interrupts nobody: nobody is in its areas."
    rest = [
        f"{number(counts[how])} {words}"
        for how, words in (
            (Hears.QUIETLY, "get it without a sound or by mail"),
            (Hears.LATER, "get it later"),
            (Hears.NOTHING, "get nothing: it says nothing new to them or they have no address"),
        )
        if counts[how] >= (FEW if discreet and weight == 1 else 1)
    ]
    heard = counts[Hears.AT_ONCE] >= (FEW if discreet and weight == 1 else 1)
    notified = number(counts[Hears.AT_ONCE]) if counts[Hears.AT_ONCE] or discreet else "nobody"
    first = f"It interrupts {notified} of {number(people)} people in its areas"
    again = "" if heard else " To interrupt them all the same, send an update with --tell-again."
    return f"{'; '.join([first, *rest])}.{again}"
