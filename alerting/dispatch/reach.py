"""Reach: checks whether an alert notifies anybody, and raises the alarm when it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Reason
from alerting.domain.delivery import NOTIFIED, DeliveryState
from alerting.store.admin import stored_alarms
from alerting.store.alerts import alert_progress, stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger import delivery_queries, escalations, tallies

#: Reasons for not sending to citizens who do not know of the danger. With any other reason they
#: already know of it. (When nobody was notified, neither was the other citizen of a shared
#: endpoint.)
_UNKNOWING = frozenset(
    {
        Reason.NOT_A_PARTICIPANT,
        Reason.OPTED_OUT,
        Reason.UNVERIFIED,
        Reason.SUSPENDED,
        Reason.ALREADY_TOLD,
        Reason.SILENCED,
        Reason.EXPIRED,
        Reason.CANCELLED,
        Reason.SUPERSEDED,
        Reason.OVER,
    }
)

_TIME = "%Y-%m-%d %H:%M UTC"

#: The most geocodes named in one sentence.
_NAMED = 5

#: (channel, state, reason, count)
Count = tuple[str, str, str, int]


def unheard(
    stored: StoredAlert, counts: Sequence[Count], *, waits_until: datetime | None = None
) -> str:
    """Return why nobody is notified of an alert, as a sentence.

    Empty when somebody was notified, may still be, or already knows of the danger; for alerts that
    are held or only recorded; and for the end of a danger, which is sent only to those who were
    notified of it.

    Args:
        waits_until: When the first deferred delivery is due.
    """
    if stored.ends or stored.state in {AlertState.HELD, AlertState.RECORDED}:
        return ""
    found: Counter[tuple[DeliveryState, str]] = Counter()
    for _, state, reason, count in counts:
        found[DeliveryState(state), reason] += count
    states = {state for state, _ in found}
    if states & (NOTIFIED | {DeliveryState.PLANNED}):
        return ""
    if any(s is DeliveryState.SUPPRESSED and r not in _UNKNOWING for s, r in found):
        return ""
    if stored.state not in ENDED and stored.planned_at is None:
        return ""
    if DeliveryState.DEFERRED in states:
        return _too_late(stored, waits_until)
    if found:
        return f"Nobody was notified: {_listed(found)}."
    if stored.state in ENDED:
        return _ended(stored)
    if stored.audience:
        return f"None of the {stored.audience:,} citizens in its areas has an address."
    return _empty(stored)


async def finish(connection: AsyncConnection, alert_id: UUID, *, now: datetime) -> None:
    """Mark an alert finished once none of its work is open, and check whether it notified
    anybody."""
    if await alert_progress.complete_if_done(connection, alert_id):
        await update_alarms(connection, [alert_id], now=now)


async def update_alarms(
    connection: AsyncConnection, alert_ids: Collection[UUID], *, now: datetime
) -> None:
    """Open the alarm for each finished Actual alert that notified nobody; close it when somebody
    has been notified since. An alert that may still go by another channel is checked after that."""
    for stored in await stored_alerts.finished(connection, alert_ids) if alert_ids else ():
        subject = str(stored.id)
        if await tallies.any_notified(connection, stored.id):
            await stored_alarms.close(
                connection, stored_alarms.REACHED_NOBODY, subject, by="system"
            )
            continue
        if await escalations.is_due(connection, stored.id, now=now):
            continue
        waits = await delivery_queries.next_due(connection, stored.id)
        counts = await delivery_queries.counts(connection, stored.id)
        why = unheard(stored, counts, waits_until=waits)
        if not why:
            await stored_alarms.close(
                connection, stored_alarms.REACHED_NOBODY, subject, by="system"
            )
        elif not await stored_alarms.is_open(connection, stored_alarms.REACHED_NOBODY, subject):
            if not stored.audience and stored.planned_at is not None:
                why += await _geocodes(connection, stored.id)
            sentence = f"Alert {stored.identifier} of {stored.sender} reached nobody. {why}"
            await stored_alarms.open_(connection, stored_alarms.REACHED_NOBODY, subject, sentence)


def _too_late(stored: StoredAlert, waits_until: datetime | None) -> str:
    if waits_until is None or waits_until < stored.expires_at:
        return ""
    due, end = (at.astimezone(UTC) for at in (waits_until, stored.expires_at))
    return f"The remaining deliveries wait until {due:{_TIME}}; the alert ends at {end:{_TIME}}."


def _listed(found: Counter[tuple[DeliveryState, str]]) -> str:
    sums: Counter[str] = Counter()
    for (state, reason), count in found.items():
        words = reason.replace("-", " ")
        if state is DeliveryState.FAILED:
            words = f"failed ({words})" if words else "failed"
        sums[words or state.value] += count
    return ", ".join(f"{count:,} {words}" for words, count in sums.most_common())


def _ended(stored: StoredAlert) -> str:
    if stored.state is AlertState.EXPIRED:
        return f"Nobody was notified: {stored.state_reason}."
    if stored.ended_by is None and stored.state_reason:
        return f"It is not sent: {stored.state_reason}."
    return f"It was {stored.state} before anybody was notified."


def _empty(stored: StoredAlert) -> str:
    if stored.for_public:
        return "Nobody is in its areas."
    group = "rosters" if stored.is_drill else "groups"
    return f"No member of the {group} it addresses is in its areas."


async def _geocodes(connection: AsyncConnection, alert_id: UUID) -> str:
    """The geocodes of an alert without an audience, so that its author sees which is wrong."""
    # Imported here: it needs lxml and shapely, and `alerting status` hardly ever needs it.
    from alerting.cap import from_json

    stored = await stored_alerts.get(connection, alert_id)
    infos = () if stored is None else from_json(stored.document).infos
    codes = list(dict.fromkeys(str(g) for i in infos for a in i.areas for g in a.geocodes))
    if not codes:
        return ""
    more = f" and {len(codes) - _NAMED:,} more" if len(codes) > _NAMED else ""
    return f" No citizen has {', '.join(codes[:_NAMED])}{more}."
