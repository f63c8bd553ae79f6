"""The JSON binding: CAP's own element names, lists for repeated elements, CAP's text for shapes.

`POST /v1/alerts` accepts it and the store keeps it, so nothing may be lost. It is strict, unlike
the reading of XML: its senders are programs that get their answer at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from alerting.cap import dates, shapes
from alerting.cap.alert_element import refuse_silent
from alerting.cap.models import AlertModel
from alerting.cap.report import CapError
from alerting.domain.alert import Alert, Area, Info, NamedValue, Repair, Resource
from alerting.domain.nearest import nearest

_Json = dict[str, Any]
_MOST_ERRORS = 5


def to_json(alert: Alert) -> _Json:
    """The alert as JSON values; absent and empty values are left out. `from_json` inverts it."""
    return _filled(
        {
            "identifier": alert.identifier,
            "sender": alert.sender,
            "sent": dates.cap_form(alert.sent),
            "status": alert.status.value,
            "msgType": alert.msg_type.value,
            "source": alert.source,
            "scope": alert.scope.value,
            "restriction": alert.restriction,
            "addresses": list(alert.addresses),
            "code": list(alert.codes),
            "note": alert.note,
            "references": [
                {"sender": r.sender, "identifier": r.identifier, "sent": dates.cap_form(r.sent)}
                for r in alert.references
            ],
            "incidents": list(alert.incidents),
            "info": [_info(info) for info in alert.infos],
            "repairs": _notes(alert.repairs),
            "remarks": _notes(alert.remarks),
        }
    )


def from_json(value: Mapping[str, Any]) -> Alert:
    """Build an alert; raise CapError naming each faulty field and what it takes."""
    try:
        alert = AlertModel.model_validate(dict(value)).alert()
    except ValidationError as e:
        raise CapError(_explained(e)) from None
    refuse_silent(alert)
    return alert


def _info(info: Info) -> _Json:
    return _filled(
        {
            "language": info.language,
            "category": [c.value for c in info.categories],
            "event": info.event,
            "responseType": [r.value for r in info.response_types],
            "urgency": info.urgency.value,
            "severity": info.severity.value,
            "certainty": info.certainty.value,
            "audience": info.audience,
            "eventCode": _pairs(info.event_codes),
            "effective": info.effective and dates.cap_form(info.effective),
            "onset": info.onset and dates.cap_form(info.onset),
            "expires": info.expires and dates.cap_form(info.expires),
            "senderName": info.sender_name,
            "headline": info.headline,
            "description": info.description,
            "instruction": info.instruction,
            "web": info.web,
            "contact": info.contact,
            "parameter": _pairs(info.parameters),
            "resource": [_resource(r) for r in info.resources],
            "area": [_area(a) for a in info.areas],
        },
        keep=("event",),
    )


def _resource(resource: Resource) -> _Json:
    names = ("resourceDesc", "mimeType", "size", "uri", "derefUri", "digest")
    values = (getattr(resource, f.name) for f in fields(resource))
    return _filled(dict(zip(names, values, strict=True)), keep=names[:2])


def _area(area: Area) -> _Json:
    return _filled(
        {
            "areaDesc": area.area_desc,
            "polygon": [shapes.polygon_text(p) for p in area.polygons],
            "circle": [shapes.circle_text(c) for c in area.circles],
            "geocode": _pairs(area.geocodes),
            "altitude": area.altitude,
            "ceiling": area.ceiling,
        },
        keep=("areaDesc",),
    )


def _pairs(pairs: tuple[NamedValue, ...]) -> list[_Json]:
    return [{"valueName": p.name, "value": p.value} for p in pairs]


def _notes(notes: tuple[Repair, ...]) -> list[_Json]:
    return [{"where": n.where, "what": n.what} for n in notes]


def _filled(values: _Json, keep: tuple[str, ...] = ()) -> _Json:
    return {k: v for k, v in values.items() if k in keep or v not in (None, "", [])}


def _explained(error: ValidationError) -> str:
    """The faults in words: where they are and what that field takes."""
    faults = error.errors(include_url=False, include_context=True)
    shown = [f"{_path(f['loc'])}: {_fault(f)}" for f in faults[:_MOST_ERRORS]]
    shown = [s if s.endswith("?") else f"{s}." for s in shown]
    if len(faults) > _MOST_ERRORS:
        shown.append(f"And {len(faults) - _MOST_ERRORS} more.")
    return " ".join(shown)


def _path(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return path.lstrip(".") or "alert"


def _fault(fault: Any) -> str:
    kind, context, got = fault["type"], fault.get("ctx", {}), str(fault["input"])[:60]
    match kind:
        case "missing":
            return "missing, and CAP requires it"
        case "extra_forbidden":
            return "not an element of CAP 1.2 here"
        case "enum":
            close = nearest(got, re.findall(r"'([^']+)'", context["expected"]))
            question = f". Did you mean {close}?" if close else ""
            return f"takes one of {context['expected']}, not {got!r}{question}"
        case "value_error":
            return str(context["error"])
        case "list_type":
            return f"takes a list, not {got!r}"
        case "string_type":
            return f"takes a text, not {got!r}"
        case "model_type":
            return f"takes an object, not {got!r}"
        case "too_short":
            return "takes at least one"
        case _:
            return f"{fault['msg'][:1].lower()}{fault['msg'][1:]}, got {got!r}"
