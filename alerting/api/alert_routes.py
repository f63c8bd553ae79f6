"""`/v1/alerts`: submit an alert, see how far it is, page through its deliveries."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerting.api.access import Keyed, Rates, Requires, RuntimeDep
from alerting.api.described import answers
from alerting.api.models.explanation import WhyAnswer
from alerting.api.models.preview_models import SubmissionPreview
from alerting.api.models.progress import AlertPage, AlertProgress, DeliveryPage
from alerting.api.models.submission_models import Cancellation, Submission
from alerting.cap import from_json, to_xml
from alerting.dispatch.evaluation.explain import explain
from alerting.dispatch.intake.approve import approve as approve_alert
from alerting.dispatch.intake.cancel import MAX_REASON, revoke_all
from alerting.dispatch.intake.cancel import cancel as cancel_alert
from alerting.dispatch.intake.preview import preview
from alerting.dispatch.intake.submit import submit as submit_alert
from alerting.dispatch.listing import MOST, Wanted, area_of
from alerting.dispatch.listing import page as list_page
from alerting.dispatch.pruned import refuse_pruned
from alerting.dispatch.status import status as read_status
from alerting.domain.alert_state import AlertState
from alerting.errors import BadInput, NotFound
from alerting.observe.tracing import span
from alerting.store import audit_log
from alerting.store.admin.api_keys import ApiKey
from alerting.store.alerts import stored_alerts
from alerting.store.ledger import delivery_queries

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Submitter = Annotated[ApiKey, Depends(Requires("submit"))]
Approver = Annotated[ApiKey, Depends(Requires("approve"))]

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="The same key and body again change nothing and answer 200.",
        examples=["flood-1"],
    ),
]

AlertName = Annotated[str, Path(description="Our id or the CAP identifier.")]

CitizenName = Annotated[str, Path(description="The register's key of a citizen.")]

_NO_ALERT = "There is no such alert."
_PRUNED = "Its deliveries were pruned; `detail` says what they added up to."

_TYPES = ("application/cap+xml", "application/xml", "text/xml", "application/json")


class CancelRequest(BaseModel):
    """How to cancel. An empty body ends the alert without giving a reason."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=MAX_REASON, description="Why, in words for citizens.")
    false_alarm: bool = Field(False, description="Say that there was no danger.")
    dry_run: bool = Field(False, description="Answer whom it would reach; change nothing.")


class WrongType(BadInput):
    http_status = 415


@router.post(
    "",
    status_code=202,
    summary="Submit an alert",
    responses=answers(
        {
            202: (Submission, "It was accepted."),
            200: (
                Submission | SubmissionPreview,
                "It had been accepted before, or it was a dry run: nothing was changed.",
            ),
        },
        {
            400: "The body did not arrive whole.",
            403: "The key may not send this: right, sender, status or area.",
            409: "The same sender, identifier and sent came before with other content.",
            415: "The Content-Type is not one of those listed.",
            422: "The alert was refused, or its Idempotency-Key came before with another body.",
            429: "Too many requests, or too many alerts of this submitter are held already.",
        },
    ),
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
    idempotency_key: IdempotencyKey = None,
    now: Annotated[bool, Query(description="Move the alert's times to this moment.")] = False,
    tell_again: Annotated[
        bool, Query(description="Interrupt also citizens notified of its thread before.")
    ] = False,
    dry_run: Annotated[
        bool, Query(description="Answer whom it would reach and how; change nothing.")
    ] = False,
) -> dict[str, Any]:
    """Accept one CAP alert, in XML or JSON, and start sending it.

    Submitting the same alert again (same Idempotency-Key, or same sender, identifier and sent)
    answers 200 and changes nothing. A dry run answers what a submission would do: how many people
    would hear it, how and why, the exact texts, and what looks odd.
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
    with span("intake", bytes=len(data)):
        submitted = await submit_alert(
            run.db,
            data,
            principal=key.principal,
            clock=run.clock,
            notifier=run.notifier,
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


@router.get("", summary="Find alerts", responses=answers({200: (AlertPage, "One page.")}, {}))
async def found(
    run: RuntimeDep,
    _: Reader,
    state: Annotated[
        list[AlertState],
        Query(default_factory=list, description="Only alerts in one of these states."),
    ],
    sender: Annotated[
        str | None,
        Query(
            max_length=1000, pattern=r"^[^\x00]*$", description="Only alerts of this CAP sender."
        ),
    ] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Only alerts sent at or after this time.")
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(description="Only alerts sent before this time.")
    ] = None,
    at: Annotated[
        str | None,
        Query(
            max_length=100,
            description="Only alerts with an area that contains this point: lat,lon.",
        ),
    ] = None,
    geocode: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="Only alerts with an area that has this geocode: NAME=VALUE.",
        ),
    ] = None,
    after: Annotated[
        str | None, Query(max_length=100, description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Most items of a page.")] = 50,
) -> dict[str, Any]:
    """One page of alerts, the one sent last first.

    With `at` or `geocode` a page may be short or empty before the last one.
    """
    wanted = Wanted(state, sender, since, until, area_of(at, geocode))
    async with run.db.begin() as connection:
        return (await list_page(connection, wanted, after=after, limit=limit)).to_json()


@router.get(
    "/{alert}",
    summary="How far an alert is",
    responses=answers({200: (AlertProgress, "Its counts.")}, {404: _NO_ALERT, 410: _PRUNED}),
)
async def status(alert: AlertName, run: RuntimeDep, _: Reader) -> dict[str, Any]:
    """An alert's state, and its deliveries counted by channel."""
    async with run.db.begin() as connection:
        return (
            await read_status(connection, await stored_alerts.resolve(connection, alert))
        ).to_json()


@router.post(
    "/{alert}/approval",
    summary="Let a held alert go",
    responses=answers(
        {200: (AlertProgress, "It goes out, or had been approved before.")},
        {
            403: "Nobody approves their own alert, by whatever key.",
            404: _NO_ALERT,
            409: "It is not held.",
            410: _PRUNED,
        },
    ),
)
async def approve(alert: AlertName, run: RuntimeDep, key: Approver) -> dict[str, Any]:
    """Approve a held alert as the second person. Approving again changes nothing."""
    async with run.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, alert)
    await approve_alert(run.db, run.notifier, alert_id, principal=key.principal, clock=run.clock)
    async with run.db.begin() as connection:
        return (await read_status(connection, alert_id)).to_json()


@router.post(
    "/{alert}/cancel",
    status_code=202,
    summary="Cancel an alert",
    responses=answers(
        {
            202: (Cancellation, "It has ended, and its notice goes out."),
            200: (Cancellation, "It had ended before, or it was a dry run: nothing was changed."),
        },
        {
            400: "The body is not JSON, or did not arrive whole.",
            403: "The key does not speak for its sender and does not have the right `end-any`.",
            404: _NO_ALERT,
            409: "Other submissions keep changing this alert: cancel it again.",
            410: _PRUNED,
            422: "It was refused, or its Idempotency-Key came before with another body.",
        },
    ),
)
async def cancel(
    alert: AlertName,
    response: Response,
    run: RuntimeDep,
    key: Submitter,
    later: BackgroundTasks,
    how: CancelRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """End an alert and every live version of it, and notify exactly those it reached."""
    how = how or CancelRequest()
    async with run.db.begin() as connection:
        alert_id, *also = await stored_alerts.live_of_name(connection, alert)
    done = await cancel_alert(
        run.db,
        alert_id,
        also=also,
        principal=key.principal,
        clock=run.clock,
        notifier=run.notifier,
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
        later.add_task(revoke_all, run.db, run.clock, done.ended)
    return done.to_json()


@router.get(
    "/{alert}/citizens/{citizen}",
    summary="Why a citizen was or was not notified",
    responses=answers(
        {200: (WhyAnswer, "Every rule's answer.")},
        {404: "There is no such alert, or no such citizen.", 410: _PRUNED},
    ),
)
async def why(
    alert: AlertName, citizen: CitizenName, run: RuntimeDep, key: Reader
) -> dict[str, Any]:
    """Every rule's answer for one citizen, in words.

    The query is recorded in the audit, also if there is no such citizen.
    """
    async with run.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, alert)
        looked = {"citizen": citizen}
        await audit_log.record(connection, key.principal.actor, "alert.why", str(alert_id), looked)
    # Not in the same transaction: that there is nobody of the name is an answer too.
    async with run.db.begin() as connection:
        found = await explain(connection, alert_id, citizen, now=run.clock.now())
    return {"alert": str(alert_id), "citizen": citizen, "deliveries": [e.to_json() for e in found]}


@router.get(
    "/{alert}/deliveries",
    summary="Its deliveries, page by page",
    responses=answers({200: (DeliveryPage, "One page.")}, {404: _NO_ALERT, 410: _PRUNED}),
)
async def page(
    alert: AlertName,
    run: RuntimeDep,
    key: Reader,
    after: Annotated[int, Query(ge=0, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items of a page.")] = 100,
) -> dict[str, Any]:
    """One page of deliveries: who was notified, and why or why not. Never an address.

    The query is recorded in the audit.
    """
    async with run.db.begin() as connection:
        alert_id = await stored_alerts.resolve(connection, alert)
        if (stored := await stored_alerts.get(connection, alert_id)) is not None:
            await refuse_pruned(connection, stored)
        rows = await delivery_queries.page(connection, alert_id, after=after, limit=limit)
        looked = {"after": after, "citizens": len({r["citizen"] for r in rows})}
        await audit_log.record(
            connection, key.principal.actor, "alert.deliveries", str(alert_id), looked
        )
    return {"deliveries": rows, "next": rows[-1]["id"] if len(rows) == limit else None}


@router.get(
    "/{alert}/cap",
    summary="The alert as CAP 1.2",
    response_class=Response,
    responses=answers({}, {404: _NO_ALERT})
    | {
        200: {
            "description": "CAP 1.2 in XML.",
            "content": {"application/cap+xml": {"schema": {"type": "string"}}},
        }
    },
)
async def cap(alert: AlertName, run: RuntimeDep, _: Reader) -> Response:
    """The alert as schema-valid CAP 1.2 XML, with its repairs."""
    async with run.db.begin() as connection:
        stored = await stored_alerts.get(connection, await stored_alerts.resolve(connection, alert))
    if stored is None:
        raise NotFound(f"There is no alert {alert}.")
    return Response(to_xml(from_json(stored.document)), media_type="application/cap+xml")
