"""`/v1/alarms`: faults of this system that a person must see to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.api.described import answers
from alerting.api.models.coordination import AlarmOut, OpenAlarms
from alerting.store import audit_log
from alerting.store.admin import stored_alarms
from alerting.store.admin.api_keys import ApiKey

router = APIRouter(prefix="/v1/alarms", tags=["alarms"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
AlarmNumber = Annotated[int, Path(description="The number of an alarm.")]
Closer = Annotated[ApiKey, Depends(Requires("approve"))]


@router.get(
    "",
    summary="What is wrong now",
    responses=answers({200: (OpenAlarms, "The open alarms.")}, {}),
)
async def open_alarms(run: RuntimeDep, _: Reader) -> dict[str, Any]:
    """The open alarms, newest first, at most 200."""
    async with run.db.begin() as connection:
        found = await stored_alarms.open_alarms(connection)
    return {"alarms": [a.to_json() for a in found]}


@router.post(
    "/{alarm}/close",
    summary="Somebody has seen to it",
    responses=answers(
        {200: (AlarmOut, "It is closed, or was before.")},
        {404: "There is no such alarm.", 409: "It is about an alert that is still held."},
    ),
)
async def close(alarm: AlarmNumber, run: RuntimeDep, key: Closer) -> dict[str, Any]:
    """Close an alarm. It opens anew when the same thing goes wrong again."""
    async with run.db.begin() as connection:
        found = await stored_alarms.close_one(connection, alarm, by=key.principal.actor)
        await audit_log.record(connection, key.principal.actor, "alarm.close", str(alarm))
    return found.to_json()
