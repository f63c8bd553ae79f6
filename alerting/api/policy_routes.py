"""`/v1/policy`: read and set the throttle policy."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.api.described import answers
from alerting.api.models.administration import PolicyOut
from alerting.api.problems import problem
from alerting.dispatch.evaluation import policies
from alerting.errors import BadInput
from alerting.store.admin.api_keys import ApiKey
from alerting.throttle.policy.parse import PolicyRefused

router = APIRouter(prefix="/v1/policy", tags=["policy"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Keeper = Annotated[ApiKey, Depends(Requires("policy"))]

_TYPES = ("application/toml", "text/plain")


@router.get(
    "", summary="The policy in force", responses=answers({200: (PolicyOut, "The policy.")}, {})
)
async def show(run: RuntimeDep, _: Reader) -> dict[str, Any]:
    """The live policy, its text and every value, and the one in shadow if there is one."""
    async with run.db.begin() as connection:
        return await policies.describe(connection)


@router.put(
    "",
    summary="Set the policy",
    responses=answers(
        {200: (PolicyOut, "It is live; workers follow within five seconds.")},
        {
            400: "The body did not arrive whole.",
            422: "The text was refused; `errors` has each fault with its line.",
        },
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {t: {"schema": {"type": "string"}} for t in _TYPES},
        }
    },
    response_model=None,
)
async def put(
    request: Request,
    run: RuntimeDep,
    key: Keeper,
    note: Annotated[str, Query(max_length=500, description="Why it is changed.")] = "",
) -> dict[str, Any] | Response:
    """Set the policy from TOML. Omitted keys have their defaults.

    Sending the live text again changes nothing and answers its version.
    """
    try:
        toml = (await request.body()).decode()
    except UnicodeDecodeError:
        raise BadInput("The policy is not UTF-8.") from None
    try:
        async with run.db.begin() as connection:
            await policies.set_live(connection, toml, by=key.principal, note=note)
            return await policies.describe(connection)
    except PolicyRefused as e:
        errors = [p.to_json() for p in e.problems]
        return problem(e.http_status, e.title, str(e), errors=errors)
