"""`/v1/events`: decide which alerts are about one event, where the rules could not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.api.described import answers
from alerting.api.models.coordination import EventChosen, OpenQuestions
from alerting.store.admin.api_keys import ApiKey
from alerting.store.alerts import stored_alerts, stored_events

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Approver = Annotated[ApiKey, Depends(Requires("approve"))]


class Pair(BaseModel):
    """Two alerts of one event."""

    model_config = ConfigDict(extra="forbid")

    alert: str = Field(max_length=500, description="An id or CAP identifier.")
    other: str = Field(max_length=500, description="An id or CAP identifier.")


class Single(BaseModel):
    """One alert."""

    model_config = ConfigDict(extra="forbid")

    alert: str = Field(max_length=500, description="An id or CAP identifier.")


@router.get(
    "/questions",
    summary="Alerts that may be of one event",
    responses=answers({200: (OpenQuestions, "The open questions.")}, {}),
)
async def questions(
    run: RuntimeDep,
    _: Reader,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items.")] = 100,
) -> dict[str, Any]:
    """Open questions, the newest first. Until one is answered, both alerts are sent."""
    async with run.db.begin() as connection:
        found = await stored_events.open_questions(connection, limit=limit)
    return {"questions": [asdict(q) for q in found]}


@router.post(
    "/merge",
    summary="Two alerts are of one event",
    responses=answers(
        {200: (EventChosen, "The event both are of now.")},
        {
            400: "The body is not JSON, or did not arrive whole.",
            404: "There is no such alert.",
            409: "They cannot be of one event; `detail` says why.",
        },
    ),
)
async def merge(body: Pair, run: RuntimeDep, key: Approver) -> dict[str, Any]:
    """From now on citizens notified of one get no copies by the other."""
    async with run.db.begin() as connection:
        one = await stored_alerts.resolve(connection, body.alert)
        other = await stored_alerts.resolve(connection, body.other)
        event_id = await stored_events.join(connection, one, other, by=key.principal.actor)
    return {"event": str(event_id)}


@router.post(
    "/split",
    summary="An alert is of an event of its own",
    responses=answers(
        {200: (EventChosen, "The event it is of now.")},
        {
            400: "The body is not JSON, or did not arrive whole.",
            404: "There is no such alert.",
            409: "Its thread is an event of its own already.",
        },
    ),
)
async def split(body: Single, run: RuntimeDep, key: Approver) -> dict[str, Any]:
    """Take an alert and its thread out of its event."""
    async with run.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, body.alert)
        event_id = await stored_events.part(connection, alert_id, by=key.principal.actor)
    return {"event": str(event_id)}
