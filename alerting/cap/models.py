"""The schema of the JSON binding, validated on input, and its conversion to the domain."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field
from pydantic.alias_generators import to_camel

from alerting.cap import dates, shapes
from alerting.cap.values import DEFAULT_LANGUAGE, is_language, is_uri
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    Reference,
    Repair,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)

_NO_TEXT = "takes a text, as CAP writes shapes"
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[-+]\d\d:\d\d)", re.ASCII)


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if found := _UNWRITABLE.search(value):
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}; remove it")
    return value.strip()


def _named(value: Any) -> Any:
    value = _text(value)
    if value == "":
        raise ValueError("takes a text that is not empty")
    return value


def _time(value: Any) -> Any:
    found = dates.parse(value) if isinstance(value, str) and _RFC_3339.fullmatch(value) else None
    if found is None or found.at is None or any("Buddhist" in r for r in found.remarks):
        raise ValueError(
            f"takes a time with its offset, like 2026-11-01T10:00:00+01:00, not {str(value)[:40]!r}"
        )
    return found.at


def _polygon(value: Any) -> Polygon:
    if not isinstance(value, str):
        raise ValueError(_NO_TEXT)  # noqa: TRY004 - pydantic turns it into a sentence
    drawn = shapes.polygon(value)
    # A ring that closes when read as CAP has no other reading.
    if drawn.shape is None or drawn.remarks:
        raise ValueError(
            "takes at least four points as 'lat,lon lat,lon …', the first again as the last: "
            + "; ".join(drawn.remarks)
        )
    return drawn.shape


def _circle(value: Any) -> Circle:
    if not isinstance(value, str):
        raise ValueError(_NO_TEXT)  # noqa: TRY004 - pydantic turns it into a sentence
    drawn = shapes.circle(value)
    if drawn.shape is None or drawn.remarks:
        said = "; ".join(drawn.remarks)
        raise ValueError(f"takes a centre and kilometres as 'lat,lon km': {said}")
    return drawn.shape


def _address(value: Any) -> Any:
    value = _named(value)
    if isinstance(value, str) and '"' in value:
        raise ValueError("takes a name without quotation marks")
    return value


def _reference(value: Any) -> Any:
    # With a comma it would be a whole reference in CAP's text, which has its own fields here.
    return {"identifier": value} if isinstance(value, str) and "," not in value else value


def _web(value: Any) -> Any:
    value = _text(value)
    if isinstance(value, str) and not is_uri(value):
        raise ValueError(f"takes a web address, not {value[:60]!r}")
    return value


def _language(value: Any) -> Any:
    value = _text(value)
    if not isinstance(value, str) or not is_language(value):
        raise ValueError(f"takes a language code like en-GB, not {str(value)[:40]!r}")
    return value


T = TypeVar("T")

#: Stops at the first invalid one: a million errors must not become a million messages.
_Many = Annotated[list[T], FailFast()]
_Text = Annotated[str, BeforeValidator(_text)]
_Name = Annotated[str, BeforeValidator(_named)]
_Address = Annotated[str, BeforeValidator(_address)]
_Web = Annotated[str, BeforeValidator(_web)]
_Time = Annotated[datetime, BeforeValidator(_time)]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, arbitrary_types_allowed=True, allow_inf_nan=False
    )


class PairModel(_Model):
    value_name: _Text
    value: _Text

    def pair(self) -> NamedValue:
        return NamedValue(self.value_name, self.value)


class ReferenceModel(_Model):
    """A CAP reference, or what a sender knows of it: the identifier at least."""

    sender: _Name | None = None
    identifier: _Name
    sent: _Time | None = None

    def whole(self) -> Reference | None:
        if self.sender is None or self.sent is None:
            return None
        return Reference(self.sender, self.identifier, self.sent)


class NoteModel(_Model):
    where: _Text
    what: _Text


class ResourceModel(_Model):
    resource_desc: _Text
    mime_type: _Text
    size: int | None = None
    uri: _Web | None = None
    deref_uri: _Text | None = None
    digest: _Text | None = None

    def resource(self) -> Resource:
        return Resource(
            self.resource_desc,
            self.mime_type,
            self.size,
            self.uri or None,
            self.deref_uri or None,
            self.digest or None,
        )


class AreaModel(_Model):
    area_desc: _Text
    polygon: _Many[Annotated[Polygon, BeforeValidator(_polygon)]] = []
    circle: _Many[Annotated[Circle, BeforeValidator(_circle)]] = []
    geocode: _Many[PairModel] = []
    altitude: float | None = None
    ceiling: float | None = None

    def area(self) -> Area:
        return Area(
            area_desc=self.area_desc,
            polygons=tuple(self.polygon),
            circles=tuple(self.circle),
            geocodes=tuple(g.pair() for g in self.geocode),
            altitude=self.altitude,
            ceiling=self.ceiling,
        )


class InfoModel(_Model):
    language: Annotated[str, BeforeValidator(_language)] = DEFAULT_LANGUAGE
    category: _Many[Category] = Field(min_length=1)
    event: _Text
    response_type: _Many[ResponseType] = []
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    audience: _Text | None = None
    event_code: _Many[PairModel] = []
    effective: _Time | None = None
    onset: _Time | None = None
    expires: _Time | None = None
    sender_name: _Text | None = None
    headline: _Text | None = None
    description: _Text | None = None
    instruction: _Text | None = None
    web: _Web | None = None
    contact: _Text | None = None
    parameter: _Many[PairModel] = []
    resource: _Many[ResourceModel] = []
    area: _Many[AreaModel] = []

    def info(self) -> Info:
        return Info(
            categories=tuple(self.category),
            event=self.event,
            urgency=self.urgency,
            severity=self.severity,
            certainty=self.certainty,
            language=self.language,
            response_types=tuple(self.response_type),
            audience=self.audience or None,
            event_codes=tuple(p.pair() for p in self.event_code),
            effective=self.effective,
            onset=self.onset,
            expires=self.expires,
            sender_name=self.sender_name or None,
            headline=self.headline or None,
            description=self.description or None,
            instruction=self.instruction or None,
            web=self.web or None,
            contact=self.contact or None,
            parameters=tuple(p.pair() for p in self.parameter),
            resources=tuple(r.resource() for r in self.resource),
            areas=tuple(a.area() for a in self.area),
        )


class AlertModel(_Model):
    identifier: _Name
    sender: _Name
    sent: _Time
    status: Status
    msg_type: MsgType
    source: _Text | None = None
    scope: Scope
    restriction: _Text | None = None
    addresses: _Many[_Address] = []
    code: _Many[_Name] = []
    note: _Text | None = None
    references: _Many[Annotated[ReferenceModel, BeforeValidator(_reference)]] = []
    incidents: _Many[_Address] = []
    info: _Many[InfoModel] = []
    repairs: _Many[NoteModel] = []
    remarks: _Many[NoteModel] = []

    def alert(self) -> Alert:
        references = [(r.identifier, r.whole()) for r in self.references]
        loose = tuple(dict.fromkeys(i for i, whole in references if whole is None))
        remarks = [Repair(r.where, r.what) for r in self.remarks]
        remarks += [
            Repair("references", f"no sender and time of {identifier[:80]!r}; identifier kept")
            for identifier in loose
        ]
        return Alert(
            identifier=self.identifier,
            sender=self.sender,
            sent=self.sent,
            status=self.status,
            msg_type=self.msg_type,
            scope=self.scope,
            source=self.source or None,
            restriction=self.restriction or None,
            addresses=tuple(self.addresses),
            codes=tuple(self.code),
            note=self.note or None,
            references=tuple(whole for _, whole in references if whole is not None),
            incidents=tuple(self.incidents),
            infos=tuple(i.info() for i in self.info),
            repairs=tuple(Repair(r.where, r.what) for r in self.repairs),
            remarks=tuple(remarks),
            loose_references=loose,
        )
