"""`/v1/alarms`: what is wrong with this system and needs somebody."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.store import alarms, audit
from alerting.store.keys import ApiKey

router = APIRouter(prefix="/v1/alarms", tags=["alarms"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Closer = Annotated[ApiKey, Depends(Requires("approve"))]


@router.get("", summary="What is wrong now")
async def open_alarms(run: RuntimeDep, _: Reader) -> dict[str, Any]:
    """The open alarms, newest first, at most 200."""
    async with run.db.begin() as connection:
        found = await alarms.open_alarms(connection)
    return {"alarms": [a.to_json() for a in found]}


@router.post(
    "/{alarm}/close",
    summary="Somebody has seen to it",
    responses={
        404: {"description": "There is no such alarm."},
        409: {"description": "It tells of an alert that is still held."},
    },
)
async def close(alarm: int, run: RuntimeDep, key: Closer) -> dict[str, Any]:
    """Close an alarm. It opens anew when the same thing goes wrong again."""
    async with run.db.begin() as connection:
        found = await alarms.close_one(connection, alarm, by=key.principal.actor)
        await audit.record(connection, key.principal.actor, "alarm.close", str(alarm))
    return found.to_json()
