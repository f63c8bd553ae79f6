"""Liveness, readiness and metrics, for machines and without a key."""

from __future__ import annotations

from typing import Any

import redis.asyncio as redis
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from alerting.addresses import redis_url
from alerting.api.access import RuntimeDep
from alerting.api.described import answers
from alerting.api.models.health import Liveness, Readiness
from alerting.domain.alert import Status
from alerting.errors import AlertingError
from alerting.observe.logs import logger
from alerting.store.admin import stored_alarms
from alerting.store.alerts import alert_pages
from alerting.store.db import AWAY
from alerting.store.migrate import at_head
from alerting.store.work import outbox

router = APIRouter(tags=["operation"])

log = logger(__name__)

#: Statuses that can be held; each is exported from the start, so that a rule sees the first alert.
_STATUSES = (Status.ACTUAL, Status.EXERCISE, Status.TEST)


@router.get(
    "/healthz",
    summary="The process is alive",
    responses=answers({200: (Liveness, "It is.")}, {}, keyed=False),
)
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="It can accept alerts",
    responses=answers(
        {
            200: (Readiness, "It can."),
            503: (Readiness, "It cannot; the body says what is missing."),
        },
        {},
        keyed=False,
    ),
)
async def readyz(run: RuntimeDep, response: Response) -> dict[str, Any]:
    """200 when the database answers with the schema of this version.

    Redis is reported and not required: without it alerts are accepted and go out.
    """
    checks: dict[str, Any] = {}
    try:
        async with run.db.begin() as connection:
            checks["schema"] = await at_head(connection)
        checks["database"] = True
    except AlertingError as e:
        log.warning("readyz.unavailable", error=e.detail)
        checks["database"] = False
    try:
        async with redis.from_url(redis_url(run.settings), socket_connect_timeout=1) as client:
            checks["redis"] = bool(await client.ping())
    except (redis.RedisError, OSError, AlertingError):
        checks["redis"] = False
    ready = checks["database"] and checks.get("schema", False)
    response.status_code = 200 if ready else 503
    return {"ready": ready, **checks}


@router.get(
    "/metrics",
    summary="For Prometheus",
    response_class=Response,
    responses=answers({}, {}, keyed=False)
    | {
        200: {
            "description": "Prometheus's text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def metrics(run: RuntimeDep) -> Response:
    """This process's counters; what waits in the outbox, while the database answers."""
    try:
        async with run.db.begin() as connection:
            waiting = await outbox.waiting(connection)
            alarmed = await stored_alarms.open_by_kind(connection)
            held = await alert_pages.held(connection)
    except AWAY as e:
        log.warning("metrics.unavailable", error=str(e))
        return _exposed(["alerting_database_up 0"])
    lines = [
        "alerting_database_up 1",
        "# HELP alerting_outbox_open Work that waits or is being done",
        "# TYPE alerting_outbox_open gauge",
        *(f'alerting_outbox_open{{lane="{lane}"}} {count}' for lane, count, _ in waiting),
        "# HELP alerting_outbox_oldest_seconds Age of the oldest work that is due",
        "# TYPE alerting_outbox_oldest_seconds gauge",
        *(f'alerting_outbox_oldest_seconds{{lane="{lane}"}} {age}' for lane, _, age in waiting),
        "# HELP alerting_alerts_held Alerts that wait for a second person",
        "# TYPE alerting_alerts_held gauge",
        *(f'alerting_alerts_held{{status="{s.value}"}} {held.get(s, 0)}' for s in _STATUSES),
        "# HELP alerting_alarms_open What is wrong and needs somebody",
        "# TYPE alerting_alarms_open gauge",
        *(f'alerting_alarms_open{{kind="{kind}"}} {n}' for kind, n in alarmed.items()),
    ]
    return _exposed(lines)


def _exposed(lines: list[str]) -> Response:
    kind = ["# HELP alerting_database_up PostgreSQL answers", "# TYPE alerting_database_up gauge"]
    text = "".join(f"{line}\n" for line in (*kind, *lines))
    return Response(generate_latest() + text.encode(), media_type=CONTENT_TYPE_LATEST)
