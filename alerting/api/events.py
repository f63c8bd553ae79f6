"""`/v1/events`: which alerts tell of one event, where the throttle was not sure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.store import alerts, events
from alerting.store.keys import ApiKey

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Approver = Annotated[ApiKey, Depends(Requires("approve"))]


class Pair(BaseModel):
    model_config = ConfigDict(extra="forbid")

    alert: str = Field(max_length=500, description="An id or CAP identifier.")
    other: str = Field(max_length=500)


class Single(BaseModel):
    model_config = ConfigDict(extra="forbid")

    alert: str = Field(max_length=500, description="An id or CAP identifier.")


@router.get("/questions", summary="Alerts that may tell of one event")
async def questions(
    run: RuntimeDep, _: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """Unanswered ones, the newest first. Until they are answered nothing is held back."""
    async with run.db.begin() as connection:
        found = await events.open_questions(connection, limit=limit)
    return {"questions": [asdict(q) for q in found]}


@router.post("/merge", summary="Two alerts tell of one event")
async def merge(body: Pair, run: RuntimeDep, key: Approver) -> dict[str, Any]:
    """From now on whoever was told of one is spared copies by the other."""
    async with run.db.begin() as connection:
        one = await alerts.resolve(connection, body.alert)
        other = await alerts.resolve(connection, body.other)
        event_id = await events.join(connection, one, other, by=key.principal.actor)
    return {"event": str(event_id)}


@router.post("/split", summary="An alert tells of an event of its own")
async def split(body: Single, run: RuntimeDep, key: Approver) -> dict[str, Any]:
    """Take an alert, with what it is linked to by references, out of its event."""
    async with run.db.begin() as connection:
        alert_id = await alerts.resolve(connection, body.alert)
        event_id = await events.part(connection, alert_id, by=key.principal.actor)
    return {"event": str(event_id)}
