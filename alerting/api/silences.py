"""`/v1/silences`: alerts a coordinator keeps from interrupting, for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from alerting.api.access import Keyed, Requires, RuntimeDep
from alerting.dispatch.judging import silences
from alerting.store import silences as store
from alerting.store.keys import ApiKey
from alerting.throttle.silence.matcher import Matcher, Op

router = APIRouter(prefix="/v1/silences", tags=["silences"], route_class=Keyed)

Reader = Annotated[ApiKey, Depends(Requires("read"))]
Silencer = Annotated[ApiKey, Depends(Requires("silence"))]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MatcherIn(_In):
    field: str = Field(max_length=200, examples=["event"])
    op: Literal["=", "!=", "~", "!~"] = "="
    value: str = Field(examples=["River Flood"])


class AreaIn(_In):
    """As in CAP's JSON form."""

    polygon: list[str] = Field([], max_length=100, examples=[["50,8 50,9 51,9 50,8"]])
    circle: list[str] = Field([], max_length=100, examples=[["50.5,8.5 10"]])
    geocode: list[dict[str, str]] = Field([], max_length=1000)


class SilenceIn(_In):
    matchers: list[MatcherIn]
    area: AreaIn | None = None
    starts_at: datetime | None = None
    ends_at: datetime
    comment: str


@router.get("", summary="The silences")
async def every(
    run: RuntimeDep,
    _: Reader,
    over: Annotated[bool, Query(description="Those that are over as well.")] = False,
) -> dict[str, Any]:
    """Those that hold or will, newest first, at most 1,000."""
    async with run.db.begin() as connection:
        found = await store.every(connection, now=run.clock.now(), over=over)
    return {"silences": [silences.to_json(s) for s in found]}


@router.post(
    "",
    status_code=201,
    summary="Silence alerts",
    responses={422: {"description": "It was refused; nothing was changed."}},
)
async def add(body: SilenceIn, run: RuntimeDep, key: Silencer) -> dict[str, Any]:
    """Keep alerts that fit all matchers from interrupting, for at most seven days.

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


@router.delete("/{silence}", summary="End a silence")
async def end(silence: str, run: RuntimeDep, key: Silencer) -> dict[str, Any]:
    """End it at once. It stays on record with who ended it."""
    async with run.db.begin() as connection:
        stored = await store.end(connection, silence, by=key.principal.actor, now=run.clock.now())
    return silences.to_json(stored)
