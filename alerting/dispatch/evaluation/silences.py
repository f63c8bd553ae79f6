"""Silences: between the form people write, the form in the store, and the throttle's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap.models import AreaModel
from alerting.domain.alert import Alert, Area
from alerting.errors import BadInput
from alerting.observe.logs import logger
from alerting.store.admin import stored_silences
from alerting.store.admin.stored_silences import StoredSilence
from alerting.throttle.silence import Silence, silenced_by
from alerting.throttle.silence.matcher import Matcher, Op

log = logger(__name__)


async def add(
    connection: AsyncConnection,
    *,
    matchers: Sequence[Matcher],
    area: Mapping[str, Any] | None,
    starts_at: datetime | None,
    ends_at: datetime,
    comment: str,
    by: str,
    now: datetime,
) -> StoredSilence:
    """Check and store a silence; `starts_at` None means now.

    Args:
        area: CAP's polygon, circle and geocode in its JSON form.

    Raises:
        BadInput: And then nothing was stored.
    """
    silence = Silence(
        id=uuid4(),
        matchers=tuple(matchers),
        starts_at=starts_at or now,
        ends_at=ends_at,
        comment=comment.strip(),
        created_by=by,
        area=None if area is None else read_area(area),
    )
    if silence.ends_at <= now:
        raise BadInput("This silence would be over already.", remedy="Let it end later.")
    return await stored_silences.add(
        connection,
        silence.id,
        matchers=[{"field": m.field, "op": m.op.value, "value": m.value} for m in matchers],
        area=None if area is None else dict(area),
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        comment=silence.comment,
        by=by,
    )


async def standing(connection: AsyncConnection, now: datetime) -> tuple[Silence, ...]:
    """The silences in force or to come. One that can no longer be read does not count."""
    found = []
    for stored in await stored_silences.in_force(connection, now):
        try:
            found.append(_read(stored))
        except BadInput as e:
            log.warning("silence.unread", silence=str(stored.id), error=type(e).__name__)
    return tuple(found)


async def notes_on(connection: AsyncConnection, alert: Alert, now: datetime) -> list[str]:
    """The silences that keep a new alert from those in its areas, one sentence each."""
    parts = [(no, area) for no, i in enumerate(alert.infos) for area in range(len(i.areas) or 1)]
    notes = []
    for silence in await standing(connection, now):
        held = [silenced_by(alert, no, area, [silence], now) is not None for no, area in parts]
        if any(held):
            name, until = str(silence.id)[:8], silence.ends_at.astimezone(UTC)
            notes.append(
                f"A silence of {silence.created_by} until {until:%Y-%m-%d %H:%M} UTC keeps "
                f"{'it' if all(held) else 'a part of it'} from everybody there: "
                f"{silence.comment} To end it: alerting silence end {name}"
            )
    return notes


def read_area(value: Mapping[str, Any]) -> Area:
    """An area of polygons, circles and geocodes.

    Raises:
        BadInput: Naming what is wrong.
    """
    try:
        return AreaModel.model_validate({"areaDesc": "of a silence", **value}).area()
    except ValidationError as e:
        fault = e.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        words = str(fault.get("ctx", {}).get("error", fault["msg"]))
        raise BadInput(f"The area's {where}: {words}.") from None


def to_json(stored: StoredSilence) -> dict[str, Any]:
    """A silence as the command and the API show it."""
    return {
        "id": str(stored.id),
        "matchers": stored.matchers,
        "area": stored.area,
        "starts_at": stored.starts_at.isoformat(),
        "ends_at": stored.ends_at.isoformat(),
        "comment": stored.comment,
        "created_by": stored.created_by,
        "created_at": stored.created_at.isoformat(),
        "ended_by": stored.ended_by or None,
        "ended_at": stored.ended_at.isoformat() if stored.ended_at else None,
    }


def _read(stored: StoredSilence) -> Silence:
    return Silence(
        id=UUID(str(stored.id)),
        matchers=tuple(Matcher(m["field"], Op(m["op"]), m["value"]) for m in stored.matchers),
        starts_at=stored.starts_at,
        ends_at=stored.ends_at,
        comment=stored.comment,
        created_by=stored.created_by,
        area=None if stored.area is None else read_area(stored.area),
    )
