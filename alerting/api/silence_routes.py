"""`/v1/silences`: keep matching alerts from interrupting, for a limited time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.api.described import answers
from alerting.api.models.coordination import SilenceOut, Silences
from alerting.dispatch.evaluation import silences
from alerting.store.admin import stored_silences as store
from alerting.store.admin.api_keys import ApiKey
from alerting.throttle.silence.matcher import Matcher, Op

router = APIRouter(prefix="/v1/silences", tags=["silences"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
SilenceName = Annotated[str, Path(description="Our id of a silence, or its first letters.")]
Silencer = Annotated[ApiKey, Depends(Requires("silence"))]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MatcherIn(_In):
    """What an alert must say for the silence to hold for it."""

    field: str = Field(max_length=200, description="A CAP name.", examples=["event"])
    op: Literal["=", "!=", "~", "!~"] = Field("=", description="Is, is not, like, unlike.")
    value: str = Field(
        description="What it is compared with; case does not count.", examples=["River Flood"]
    )


class AreaIn(_In):
    """Ground, as in CAP's JSON form."""

    polygon: list[str] = Field(
        [],
        max_length=100,
        description="Closed rings of `lat,lon` pairs.",
        examples=[["50,8 50,9 51,9 50,8"]],
    )
    circle: list[str] = Field(
        [],
        max_length=100,
        description="`lat,lon radius`, the radius in km.",
        examples=[["50.5,8.5 10"]],
    )
    geocode: list[dict[str, str]] = Field(
        [], max_length=1000, description="Objects of `valueName` and `value`."
    )


class SilenceIn(_In):
    """Which alerts to silence, where and how long."""

    matchers: list[MatcherIn] = Field(description="An alert must match all of them.")
    area: AreaIn | None = Field(None, description="Where; everywhere without it.")
    starts_at: datetime | None = Field(None, description="When it begins; now without it.")
    ends_at: datetime = Field(description="When it ends, at most seven days later.")
    comment: str = Field(description="Why, for those who read the list.")


@router.get("", summary="The silences", responses=answers({200: (Silences, "The silences.")}, {}))
async def every(
    run: RuntimeDep,
    _: Reader,
    over: Annotated[bool, Query(description="Include silences that have ended.")] = False,
) -> dict[str, Any]:
    """Silences in force or to come, the newest first, at most 1,000."""
    async with run.db.begin() as connection:
        found = await store.every(connection, now=run.clock.now(), over=over)
    return {"silences": [silences.to_json(s) for s in found]}


@router.post(
    "",
    status_code=201,
    summary="Silence alerts",
    responses=answers(
        {201: (SilenceOut, "It holds, or will.")},
        {
            400: "The body is not JSON, or did not arrive whole.",
            422: "It was refused; nothing was changed.",
        },
    ),
)
async def add(body: SilenceIn, run: RuntimeDep, key: Silencer) -> dict[str, Any]:
    """Keep alerts that match all matchers from interrupting, for at most seven days.

    Extreme alerts and the end of a danger are never silenced.
    """
    matchers = [Matcher(m.field, Op(m.op), m.value) for m in body.matchers]
    async with run.db.begin() as connection:
        stored = await silences.add(
            connection,
            matchers=matchers,
            area=None if body.area is None else body.area.model_dump(exclude_defaults=True),
            starts_at=body.starts_at,
            ends_at=body.ends_at,
            comment=body.comment,
            by=key.principal.actor,
            now=run.clock.now(),
        )
    return silences.to_json(stored)


@router.delete(
    "/{silence}",
    summary="End a silence",
    responses=answers(
        {200: (SilenceOut, "It has ended, now or before.")}, {404: "There is no such silence."}
    ),
)
async def end(silence: SilenceName, run: RuntimeDep, key: Silencer) -> dict[str, Any]:
    """End a silence at once. It stays on record with who ended it."""
    async with run.db.begin() as connection:
        stored = await store.end(connection, silence, by=key.principal.actor, now=run.clock.now())
    return silences.to_json(stored)
