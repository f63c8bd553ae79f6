"""`alerting cap new`: write a CAP document to review and submit."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import click
from click.core import ParameterSource

from alerting.bootstrap import Runtime
from alerting.cap import from_json, to_xml
from alerting.clock import SystemClock
from alerting.dispatch.intake.draft import Changes, Kind, draft
from alerting.domain.alert import (
    Alert,
    Category,
    Certainty,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.errors import BadInput
from alerting.settings import settings
from alerting.store.alerts import stored_alerts, threads

ALERT = "alert"

#: What a new alert requires, by its option.
_NEEDED = ("sender", "event", "headline", "urgency", "severity", "certainty", "hours", "area")

_TEXTS = ("headline", "description", "instruction")

#: The options for the next version of an alert besides its name; everything else is copied.
_TAKEN: dict[Kind, tuple[str, ...]] = {
    Kind.UPDATE: (*_TEXTS, "severity", "urgency", "language", "hours"),
    Kind.EXTENSION: (*_TEXTS, "severity", "urgency", "language", "hours"),
    Kind.END: (*_TEXTS, "language", "hours"),
    Kind.CANCEL: ("description", "hours"),
}


def _one_of(values: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([value.value for value in values])


@click.command("new")
@click.argument("kind", type=click.Choice([ALERT, *(kind.value for kind in Kind)]))
@click.argument("alert", required=False)
@click.option("--sender", help="Who speaks: the sender's own name, such as control@example.org.")
@click.option("--sender-name", help="Who warns, as citizens read it.")
@click.option("--status", type=_one_of(Status), default=Status.ACTUAL.value, show_default=True)
@click.option("--address", "addresses", multiple=True, help="A drill's roster, or a group.")
@click.option("--language", help="The language of the texts, such as en-GB.")
@click.option("--category", type=_one_of(Category), default=Category.SAFETY.value)
@click.option("--event", help="What happens, such as Flood.")
@click.option("--response", "responses", multiple=True, type=_one_of(ResponseType))
@click.option("--urgency", type=_one_of(Urgency))
@click.option("--severity", type=_one_of(Severity))
@click.option("--certainty", type=_one_of(Certainty))
@click.option("--hours", type=click.FloatRange(0.02, 24 * 30), help="For how long from now.")
@click.option("--headline", help="The core in one line.")
@click.option("--description", help="What is known; of a cancel, why.")
@click.option("--instruction", help="What to do.")
@click.option("--area", help="Where, in words.")
@click.option("--polygon", "polygons", multiple=True, help="lat,lon lat,lon …, closed.")
@click.option("--circle", "circles", multiple=True, help="lat,lon and kilometres.")
@click.option("--geocode", "geocodes", multiple=True, help="NAME=VALUE.")
@click.pass_context
def new(context: click.Context, /, kind: str, alert: str | None, **said: Any) -> int:
    """Write a CAP document to standard output; nothing is sent.

    A new alert is built from the options. An update, extension, end or cancel is built from ALERT
    (its id or CAP identifier) and all live versions of it, which it references; options say what
    changes. Options that the kind does not take are refused. Check the result with `alerting submit
    --dry-run`.
    """
    if kind == ALERT:
        if alert is not None:
            raise BadInput("A new alert does not take an ALERT.", remedy="Leave out the name.")
        document = _first(said, SystemClock().now())
    elif alert is None:
        raise BadInput(f"The {kind} needs an ALERT.", remedy="Name it.")
    else:
        _refuse_untaken(context, Kind(kind))
        document = asyncio.run(_next(Kind(kind), alert, said))
    click.echo(to_xml(document).decode(), nl=False)
    return 0


def _refuse_untaken(context: click.Context, kind: Kind) -> None:
    taken = ("kind", "alert", *_TAKEN[kind])
    untaken = [
        option.opts[0]
        for option in context.command.params
        if option.name is not None
        and option.name not in taken
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if untaken:
        takes = ", ".join(f"--{name}" for name in _TAKEN[kind])
        raise BadInput(
            f"`cap new {kind}` does not take {', '.join(untaken)}.",
            remedy=f"It takes {takes}. Leave out the others, and change them in the file that it "
            "writes before you submit that.",
        )


def _first(said: dict[str, Any], now: datetime) -> Alert:
    missing = [f"--{name}" for name in _NEEDED if not said[name]]
    if not said["polygons"] and not said["circles"] and not said["geocodes"]:
        missing.append("--polygon, --circle or --geocode")
    if missing:
        raise BadInput(f"A new alert needs {', '.join(missing)}.", remedy="Say them.")
    sent = now.replace(microsecond=0)
    actual = said["status"] == Status.ACTUAL
    body = {
        "identifier": f"{sent:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        "sender": said["sender"],
        "sent": sent.isoformat(),
        "status": said["status"],
        "msgType": "Alert",
        # An exercise is for its rosters only, whatever its scope.
        "scope": (Scope.PRIVATE if said["addresses"] and actual else Scope.PUBLIC).value,
        "addresses": list(said["addresses"]),
        "info": [_info(said, sent)],
    }
    return from_json(body)


def _info(said: dict[str, Any], sent: datetime) -> dict[str, Any]:
    info = {
        "language": said["language"] or "en-US",
        "category": [said["category"]],
        "event": said["event"],
        "responseType": list(said["responses"]),
        "urgency": said["urgency"],
        "severity": said["severity"],
        "certainty": said["certainty"],
        "expires": (sent + timedelta(seconds=int(said["hours"] * 3600))).isoformat(),
        "senderName": said["sender_name"],
        "headline": said["headline"],
        "description": said["description"],
        "instruction": said["instruction"],
        "area": [
            {
                "areaDesc": said["area"],
                "polygon": list(said["polygons"]),
                "circle": list(said["circles"]),
                "geocode": _pairs(said["geocodes"]),
            }
        ],
    }
    return {name: value for name, value in info.items() if value is not None}


def _pairs(geocodes: Sequence[str]) -> list[dict[str, str]]:
    pairs = []
    for text in geocodes:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"{text[:80]!r} is no geocode.", remedy="Write NAME=VALUE.")
        pairs.append({"valueName": name, "value": value})
    return pairs


async def _next(kind: Kind, name: str, said: dict[str, Any]) -> Alert:
    async with Runtime.open(settings()) as runtime, runtime.db.begin() as connection:
        named = await stored_alerts.get_many(
            connection, await stored_alerts.live_of_name(connection, name)
        )
        live = await threads.in_force(connection, {one.thread_id for one in named})
        now = runtime.clock.now()
    live = [one for one in live if one.expires_at > now]
    if not live:
        states = ", ".join(sorted({one.state.value for one in named}))
        raise BadInput(
            f"No version of alert {name[:80]} is live: it is {states}.",
            remedy="Issue a new one (alerting cap new alert).",
        )
    changes = Changes(
        headline=said["headline"],
        description=said["description"],
        instruction=said["instruction"],
        severity=Severity(said["severity"]) if said["severity"] else None,
        urgency=Urgency(said["urgency"]) if said["urgency"] else None,
    )
    versions = [from_json(one.document) for one in sorted(live, key=lambda one: one.order_at)]
    return draft(
        versions, kind, now=now, changes=changes, language=said["language"], hours=said["hours"]
    )
