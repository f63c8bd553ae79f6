"""`/v1/audit`: who did what, for an inquiry."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.api.described import answers
from alerting.api.models.administration import AuditPage
from alerting.store import audit_log
from alerting.store.admin.api_keys import ApiKey
from alerting.store.alerts import stored_alerts

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=Keyed)

Auditor = Annotated[ApiKey, Depends(Requires("people"))]


@router.get(
    "",
    summary="Who did what",
    responses=answers({200: (AuditPage, "One page.")}, {404: "There is no such alert."}),
)
async def page(
    run: RuntimeDep,
    _: Auditor,
    alert: Annotated[str, Query(max_length=1000, description="Its id or CAP identifier.")] = "",
    subject: Annotated[
        str, Query(max_length=1000, description="What it was done to; `citizen REF` of a citizen.")
    ] = "",
    actor: Annotated[
        str, Query(max_length=200, description="Who; a person by any key.", examples=["person:ada"])
    ] = "",
    action: Annotated[
        str,
        Query(
            max_length=200,
            description="The action, or the part before its dot.",
            examples=["alert", "key.revoke"],
        ),
    ] = "",
    since: Annotated[AwareDatetime | None, Query(description="Only at or after this time.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only before this time.")] = None,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items of a page.")] = 100,
) -> dict[str, Any]:
    """One page of the lines that match all parameters, the newest first.

    Needs the right `people`, because it says who looked up whom.
    """
    async with run.db.begin() as connection:
        subjects = [subject] if subject else []
        if alert:
            subjects.append(str(await stored_alerts.resolve(connection, alert)))
        found = await audit_log.page(
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
