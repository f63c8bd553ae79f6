"""`/v1/audit`: who did what, for an inquiry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from alerting.api.access import Requires, RuntimeDep
from alerting.store import alerts, audit
from alerting.store.keys import ApiKey

router = APIRouter(prefix="/v1/audit", tags=["audit"])

Auditor = Annotated[ApiKey, Depends(Requires("people"))]


@router.get("", summary="Who did what")
async def page(
    run: RuntimeDep,
    _: Auditor,
    alert: Annotated[str, Query(max_length=1000, description="Its id or CAP identifier.")] = "",
    subject: Annotated[str, Query(max_length=1000)] = "",
    actor: Annotated[str, Query(max_length=200, examples=["person:ada"])] = "",
    action: Annotated[str, Query(max_length=200, examples=["alert", "key.revoke"])] = "",
    since: datetime | None = None,
    until: datetime | None = None,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The lines that fit everything given, the newest first. `next` is null on the last page.

    For who may manage people: it says who looked up whom.
    """
    async with run.db.begin() as connection:
        subjects = [subject] if subject else []
        if alert:
            subjects.append(str(await alerts.resolve(connection, alert)))
        found = await audit.page(
            connection,
            subjects=subjects,
            actor=actor,
            action=action,
            since=since,
            until=until,
            before=before,
            limit=limit,
        )
    return {
        "lines": [line.to_json() for line in found],
        "next": found[-1].id if len(found) == limit else None,
    }
