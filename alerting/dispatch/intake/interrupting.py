"""Interrupting: how many people an update will interrupt, said to whoever submits it.

It is judged by the very rules that judge the deliveries, for some of the audience, and changes
nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from enum import IntEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.sample import sample
from alerting.cap import from_json
from alerting.clock import Clock
from alerting.dispatch.judging import policies, silences
from alerting.dispatch.judging.history import Histories, Known
from alerting.dispatch.plan import ByLane
from alerting.domain.alert import MsgType
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Verdict
from alerting.observe.logs import logger
from alerting.store import alerts, citizens
from alerting.store.alerts import StoredAlert
from alerting.store.citizens import Hours
from alerting.store.db import Database, raw
from alerting.store.planned import NewDelivery
from alerting.throttle.desk import Desk, Subject
from alerting.throttle.gate import AskBudget, decide

log = logger(__name__)

#: So many people are judged; of more a sample.
_MOST = 500

#: The answer to a submission waits no longer for one statement.
_TIMEOUT_MS = 500


class Hears(IntEnum):
    """How somebody will hear of it, from not at all to most of all."""

    NOTHING = 0
    LATER = 1
    QUIETLY = 2
    AT_ONCE = 3


async def interrupting(
    db: Database, alert_id: UUID, *, clock: Clock, all_channels_lanes: Collection[str]
) -> str:
    """How many people a public update interrupts, as a sentence; "" for any other alert.

    Also "" where it cannot be found out in time: the alert is accepted already.
    """
    try:
        async with db.begin() as connection:
            stored = await alerts.get(connection, alert_id)
            if stored is None or not _is_update(stored):
                return ""
            await connection.execute(text(f"set local statement_timeout = {_TIMEOUT_MS}"))
            return await _sentence(connection, stored, clock, all_channels_lanes)
    except Exception:
        log.exception("submission.not_foreseen", alert=str(alert_id))
        return ""


def _is_update(stored: StoredAlert) -> bool:
    return (
        stored.msg_type == MsgType.UPDATE
        and not stored.ends
        and not stored.is_drill
        and stored.state in {AlertState.ACCEPTED, AlertState.DELIVERING, AlertState.HELD}
    )


async def _sentence(
    connection: AsyncConnection,
    stored: StoredAlert,
    clock: Clock,
    all_channels_lanes: Collection[str],
) -> str:
    alert, now = from_json(stored.document), clock.now()
    if not alert.for_public:
        return ""
    found = await sample(connection, alert, most=_MOST, now=now, seed=stored.id.int)
    ids = [r.citizen_id for r in found.recipients]
    known = await Histories().of(connection, stored, ids, now=now)
    hours = await citizens.hours(await raw(connection), ids)
    policy = (await policies.live(connection)).policy
    standing = await silences.standing(connection, now)
    usable = {t.address_id for r in found.recipients for t in r.targets if t.usable}
    best: dict[int, Hears] = defaultdict(lambda: Hears.NOTHING)
    for _, by_channel in ByLane(alert, all_channels_lanes).spread(found.recipients):
        for channel, deliveries in by_channel.items():
            desk = Desk(
                alert,
                policy,
                key=stored.id,
                thread=stored.thread_id,
                state=AlertState.DELIVERING,
                expires_at=stored.expires_at,
                order_at=stored.order_at,
                submitted_at=stored.submitted_at,
                now=now,
                can_be_silent=channel == "push",
                silences=standing,
            )
            for d in deliveries:
                if d.address_id in usable:
                    subject = _subject(d, known.get(d.citizen_id), hours[d.citizen_id])
                    heard = _hears(desk, subject, channel)
                    best[d.citizen_id] = max(best[d.citizen_id], heard)
    counts = Counter(best[citizen_id] for citizen_id in ids)
    return _said(counts, len(ids), found.weight)


def _subject(d: NewDelivery, known: Known | None, hours: Hours) -> Subject:
    return Subject(
        d.citizen_id,
        d.info_no,
        d.area_no,
        d.places,
        time_zone=hours.time_zone,
        quiet_from=hours.quiet_from,
        quiet_to=hours.quiet_to,
        history=known.event if known else (),
        elsewhere=known.elsewhere if known else (),
    )


def _hears(desk: Desk, subject: Subject, channel: str) -> Hears:
    """What comes of one delivery; a budget that would be asked is taken to admit it."""
    decision = decide(desk.facts(subject))
    if isinstance(decision, AskBudget) or decision.verdict is Verdict.SEND:
        # No mail wakes anybody.
        return Hears.QUIETLY if channel == "email" else Hears.AT_ONCE
    if decision.verdict is Verdict.SILENT:
        return Hears.QUIETLY if channel == "push" else Hears.NOTHING
    return Hears.NOTHING if decision.verdict is Verdict.DROP else Hears.LATER


def _said(counts: Counter[Hears], people: int, weight: float) -> str:
    def number(count: float) -> str:
        return f"{count:,.0f}" if weight == 1 else f"about {round(count * weight, -2) or 100:,.0f}"

    if not people:
        return "It interrupts nobody: nobody is in its areas."
    rest = [
        f"{number(counts[how])} {words}"
        for how, words in (
            (Hears.QUIETLY, "get it without a sound or by mail"),
            (Hears.LATER, "hear later"),
            (Hears.NOTHING, "get nothing, for it tells them nothing new or they have no address"),
        )
        if counts[how]
    ]
    told = number(counts[Hears.AT_ONCE]) if counts[Hears.AT_ONCE] else "nobody"
    first = f"It interrupts {told} of {number(people)} people in its areas"
    again = "" if counts[Hears.AT_ONCE] else " To insist, send an update with --tell-again."
    return f"{'; '.join([first, *rest])}.{again}"
