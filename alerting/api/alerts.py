"""`/v1/alerts`: submit an alert, see how far it is, page through its deliveries."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Header, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerting.api.access import Keyed, Rates, Requires, RuntimeDep
from alerting.cap import from_json, to_xml
from alerting.dispatch.intake.approve import approve as approve_alert
from alerting.dispatch.intake.cancel import MAX_REASON, call_back_all
from alerting.dispatch.intake.cancel import cancel as cancel_alert
from alerting.dispatch.intake.preview import preview
from alerting.dispatch.intake.submit import submit as submit_alert
from alerting.dispatch.judging.explain import explain
from alerting.dispatch.listing import MOST, Wanted, area_of
from alerting.dispatch.listing import page as list_page
from alerting.dispatch.pruned import refuse_pruned
from alerting.dispatch.status import status as read_status
from alerting.domain.alert_state import AlertState
from alerting.errors import BadInput, NotFound
from alerting.store import alerts, audit, delivery_queries
from alerting.store.keys import ApiKey

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Submitter = Annotated[ApiKey, Depends(Requires("submit"))]
Approver = Annotated[ApiKey, Depends(Requires("approve"))]

_TYPES = ("application/cap+xml", "application/xml", "text/xml", "application/json")


class CancelRequest(BaseModel):
    """How to cancel. An empty body ends the alert without giving a reason."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=MAX_REASON, description="In the citizens' words.")
    false_alarm: bool = Field(False, description="Say that there was never any danger.")
    dry_run: bool = Field(False, description="Say whom it would reach, and change nothing.")


class WrongType(BadInput):
    http_status = 415


@router.post(
    "",
    status_code=202,
    summary="Submit an alert",
    responses={
        200: {"description": "It had been accepted before, or it was a dry run: nothing changed."},
        403: {"description": "The key may not send this: right, sender, status or area."},
        409: {"description": "The same CAP triple came before with other content."},
        422: {"description": "The alert was refused; nothing was changed."},
        429: {"description": "It would be held, and too many of the same submitter are."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {t: {"schema": {"type": "string"}} for t in _TYPES[:3]}
            | {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def submit(
    request: Request,
    response: Response,
    run: RuntimeDep,
    key: Submitter,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
    now: Annotated[bool, Query(description="Move the alert's times to this moment.")] = False,
    tell_again: Annotated[
        bool, Query(description="Interrupt also whoever was told of its thread before.")
    ] = False,
    dry_run: Annotated[
        bool, Query(description="Say whom it would reach and how, and change nothing.")
    ] = False,
) -> dict[str, Any]:
    """Accept one CAP alert, in XML or JSON, and start it on its way.

    Sending the same again, by Idempotency-Key or by CAP's own triple, answers 200 and changes
    nothing. A dry run answers what would come of it: how many people hear it how and why, the very
    texts, and what looks odd.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise WrongType(f"Content-Type {kind!r} is not read.", remedy=f"Use {', '.join(_TYPES)}.")
    data = await request.body()
    if dry_run:
        response.status_code = 200
        rates: Rates = request.app.state.rates
        with rates.dry_run(key):
            foreseen = await preview(
                run.db,
                data,
                principal=key.principal,
                clock=run.clock,
                settings=run.settings,
                idempotency_key=idempotency_key,
                now=now,
                tell_again=tell_again,
            )
        return foreseen.to_json()
    submitted = await submit_alert(
        run.db,
        data,
        principal=key.principal,
        clock=run.clock,
        doorbell=run.doorbell,
        idempotency_key=idempotency_key,
        max_bytes=run.settings.max_alert_bytes,
        default_expiry_s=run.settings.default_expiry_s,
        drill_roster_max=run.settings.drill_roster_max,
        all_channels_lanes=run.settings.all_channels_lanes,
        now=now,
        tell_again=tell_again,
    )
    response.headers["Location"] = f"/v1/alerts/{submitted.alert_id}"
    if not submitted.created:
        response.status_code = 200
    return submitted.to_json()


@router.get("", summary="Find alerts")
async def found(
    run: RuntimeDep,
    _: Reader,
    state: Annotated[list[AlertState], Query(default_factory=list, description="Any of these.")],
    sender: Annotated[str | None, Query(max_length=1000, pattern=r"^[^\x00]*$")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Sent from then on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Sent before.")] = None,
    at: Annotated[
        str | None, Query(max_length=100, description="In an area that has this point: lat,lon.")
    ] = None,
    geocode: Annotated[
        str | None, Query(max_length=1000, description="In an area with it: NAME=VALUE.")
    ] = None,
    after: Annotated[
        str | None, Query(max_length=100, description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
) -> dict[str, Any]:
    """Alerts, the one sent last first. `next` is null on the last page.

    A page for a point or geocode may be short, or empty, before the last.
    """
    wanted = Wanted(state, sender, since, until, area_of(at, geocode))
    async with run.db.begin() as connection:
        return (await list_page(connection, wanted, after=after, limit=limit)).to_json()


@router.get("/{alert}", summary="How far an alert is")
async def status(alert: str, run: RuntimeDep, _: Reader) -> dict[str, Any]:
    """Counts by channel. `alert` is the id or the CAP identifier."""
    async with run.db.begin() as connection:
        return (await read_status(connection, await alerts.resolve(connection, alert))).to_json()


@router.post(
    "/{alert}/approval",
    summary="Let a held alert go",
    responses={
        403: {"description": "Nobody approves their own alert, by whatever key."},
        409: {"description": "It is not held."},
    },
)
async def approve(alert: str, run: RuntimeDep, key: Approver) -> dict[str, Any]:
    """Approve an alert that waits for a second person. Approving twice changes nothing."""
    async with run.db.begin() as connection:
        alert_id = await alerts.resolve(connection, alert)
    await approve_alert(run.db, run.doorbell, alert_id, principal=key.principal, clock=run.clock)
    async with run.db.begin() as connection:
        return (await read_status(connection, alert_id)).to_json()


@router.post(
    "/{alert}/cancel",
    status_code=202,
    summary="Cancel an alert",
    responses={
        200: {"description": "It had ended before, or it was a dry run; nothing was changed."},
        403: {"description": "The key does not speak for its sender, nor may it end any alert."},
        422: {"description": "The request was refused; nothing was changed."},
    },
)
async def cancel(
    alert: str,
    response: Response,
    run: RuntimeDep,
    key: Submitter,
    later: BackgroundTasks,
    how: CancelRequest | None = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> dict[str, Any]:
    """End an alert and every live version of it, and tell those it reached, and nobody else."""
    how = how or CancelRequest()
    async with run.db.begin() as connection:
        alert_id, *also = await alerts.standing(connection, alert)
    done = await cancel_alert(
        run.db,
        alert_id,
        also=also,
        principal=key.principal,
        clock=run.clock,
        doorbell=run.doorbell,
        reason=how.reason,
        false_alarm=how.false_alarm,
        dry_run=how.dry_run,
        idempotency_key=idempotency_key,
        valid_s=run.settings.default_expiry_s,
    )
    if done.notice is None or not done.notice.created:
        response.status_code = 200
    else:
        response.headers["Location"] = f"/v1/alerts/{done.notice.alert_id}"
        later.add_task(call_back_all, run.db, run.clock, done.ended)
    return done.to_json()


@router.get("/{alert}/citizens/{citizen}", summary="Why a citizen was or was not told")
async def why(alert: str, citizen: str, run: RuntimeDep, key: Reader) -> dict[str, Any]:
    """Every rule's answer for one citizen, in words. `citizen` is the register's key.

    Who asked is kept in the audit, also where there is no such citizen.
    """
    async with run.db.begin() as connection:
        alert_id = await alerts.resolve(connection, alert)
        looked = {"citizen": citizen}
        await audit.record(connection, key.principal.actor, "alert.why", str(alert_id), looked)
    # Not in the same transaction: that there is nobody of the name is an answer too.
    async with run.db.begin() as connection:
        found = await explain(connection, alert_id, citizen, now=run.clock.now())
    return {"alert": str(alert_id), "citizen": citizen, "deliveries": [e.to_json() for e in found]}


@router.get("/{alert}/deliveries", summary="Its deliveries, page by page")
async def page(
    alert: str,
    run: RuntimeDep,
    key: Reader,
    after: Annotated[int, Query(ge=0, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Who was told and why or why not, without addresses. `next` is null on the last page.

    Who asked is kept in the audit.
    """
    async with run.db.begin() as connection:
        alert_id = await alerts.resolve(connection, alert)
        if (stored := await alerts.get(connection, alert_id)) is not None:
            await refuse_pruned(connection, stored)
        rows = await delivery_queries.page(connection, alert_id, after=after, limit=limit)
        looked = {"after": after, "citizens": len({r["citizen"] for r in rows})}
        await audit.record(
            connection, key.principal.actor, "alert.deliveries", str(alert_id), looked
        )
    return {"deliveries": rows, "next": rows[-1]["id"] if len(rows) == limit else None}


@router.get("/{alert}/cap", summary="The alert as CAP 1.2", response_class=Response)
async def cap(alert: str, run: RuntimeDep, _: Reader) -> Response:
    """Schema-valid CAP 1.2 XML, repairs included."""
    async with run.db.begin() as connection:
        stored = await alerts.get(connection, await alerts.resolve(connection, alert))
    if stored is None:
        raise NotFound(f"There is no alert {alert}.")
    return Response(to_xml(from_json(stored.document)), media_type="application/cap+xml")
