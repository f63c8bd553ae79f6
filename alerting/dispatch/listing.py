"""Listing: alerts that match a filter, page by page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.domain.alert import Area, Circle, NamedValue, Severity
from alerting.domain.alert_state import AlertState
from alerting.errors import BadInput
from alerting.store.alerts import alert_pages
from alerting.store.alerts.alert_pages import Row
from alerting.store.ledger import tallies
from alerting.throttle.silence import touch

#: The most alerts of one page.
MOST = 100

#: Alerts whose areas are compared for one page, and the size of a batch of them.
_LOOKED_AT = 200
_BATCH = 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter for alerts: those that meet every given condition.

    Attributes:
        states: Any of these.
        since, until: Sent from and before.
        where: One of their areas shares ground or a geocode with it.
    """

    states: Collection[AlertState] = ()
    sender: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: Area | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of alerts, the latest first.

    A page filtered by area may be short, or empty, without being the last.

    Attributes:
        next: The cursor of the following page; None on the last.
    """

    alerts: list[dict[str, Any]]
    next: str | None

    def to_json(self) -> dict[str, Any]:
        return {"alerts": self.alerts, "next": self.next}


async def page(
    connection: AsyncConnection, wanted: Wanted, *, after: str | None = None, limit: int = MOST
) -> Page:
    """Return up to `limit` alerts.

    Args:
        after: `next` of the previous page.

    Raises:
        BadInput: For an invalid cursor.
    """
    position = None if after is None else _read(after)
    batch = limit if wanted.where is None else _BATCH
    found: list[Row] = []
    looked_at, more = 0, True
    while more and len(found) < limit and looked_at < _LOOKED_AT:
        rows = await alert_pages.rows(
            connection,
            states=wanted.states,
            sender=wanted.sender,
            since=wanted.since,
            until=wanted.until,
            after=position,
            limit=batch + 1,
            documents=wanted.where is not None,
        )
        part, more = rows[:batch], len(rows) > batch
        looked_at += len(part)
        # Off the loop: areas may be large.
        fit = part if wanted.where is None else await asyncio.to_thread(_in, part, wanted.where)
        if len(found) + len(fit) > limit:
            part, more = fit[: limit - len(found)], True
            fit = part
        found += [replace(row, document=None) for row in fit]
        position = (part[-1].sent_at, part[-1].id) if part else position
    done = [r.id for r in found if r.state == AlertState.COMPLETED]
    waiting = await tallies.with_open(connection, done)
    return Page(
        [_json(row, row.id in waiting) for row in found],
        _cursor(*position) if more and position is not None else None,
    )


def area_of(at: str | None, geocode: str | None) -> Area | None:
    """The area of a point such as `54.5,2.5`, or of a geocode such as `EMMA_ID=ES104`; None without
    either.

    Raises:
        BadInput
    """
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[NamedValue, ...] = ()
    if at is not None:
        circles = (Circle(*_point(at), 0.0),)
    if geocode is not None:
        name, equals, value = geocode.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise BadInput(
                f"{geocode[:80]!r} is no geocode.", remedy="Write it like EMMA_ID=ES104."
            )
        geocodes = (NamedValue(name.strip(), value.strip()),)
    if not circles and not geocodes:
        return None
    return Area("", circles=circles, geocodes=geocodes)


def _point(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"\s*(-?\d{1,2}(?:\.\d{1,15})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,15})?)\s*", text)
    if found is not None:
        lat, lon = float(found[1]), float(found[2])
        if abs(lat) <= 90 and abs(lon) <= 180:
            return lat, lon
    raise BadInput(
        f"{text[:80]!r} is no point.", remedy="Write its latitude and longitude like 54.5,2.5."
    )


def _in(rows: Sequence[Row], where: Area) -> list[Row]:
    return [
        row
        for row in rows
        if row.document is not None
        and any(touch(where, a) for i in from_json(row.document).infos for a in i.areas)
    ]


def _cursor(sent_at: datetime, alert_id: UUID) -> str:
    return f"{(sent_at - _EPOCH) // timedelta(microseconds=1)}-{alert_id.hex}"


def _read(cursor: str) -> tuple[datetime, UUID]:
    found = re.fullmatch(r"(-?\d{1,16})-([0-9a-f]{32})", cursor)
    if found is None:
        raise BadInput(
            f"{cursor[:80]!r} follows no page.", remedy="Give `next` of the page before."
        )
    return _EPOCH + timedelta(microseconds=int(found[1])), UUID(found[2])


def _json(row: Row, waits: bool) -> dict[str, Any]:
    infos = zip(row.severities, row.events, strict=True)
    severity, event = min(
        infos, key=lambda i: Severity(i[0]).rank, default=(Severity.UNKNOWN.value, "")
    )
    return {
        "id": str(row.id),
        "identifier": row.identifier,
        "sender": row.sender,
        "sent": row.sent_at.isoformat(),
        "status": row.status,
        "msg_type": row.msg_type,
        "scope": row.scope,
        "event": event,
        "severity": severity,
        "lane": row.lane,
        "state": AlertState.DELIVERING.value if waits else row.state,
        "state_reason": row.state_reason,
        "audience": row.audience if row.planned_at is not None else None,
        "submitted_at": row.submitted_at.isoformat(),
        "expires_at": row.expires_at.isoformat(),
    }
