"""CAP `info`, `resource` and `area` elements → Info, Resource, Area."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from lxml import etree

from alerting.cap import shapes, values
from alerting.cap.elements import Bag
from alerting.cap.report import Notes
from alerting.domain.alert import (
    Area,
    Category,
    Certainty,
    Info,
    Resource,
    ResponseType,
    Severity,
    Urgency,
)


def info_of(element: etree._Element, number: int, notes: Notes, zone: tzinfo | None) -> Info | None:
    """Read the `number`-th info; None when it has no content. `zone`: see `values.moment`."""
    bag = Bag(element, "info", f"info[{number}]", notes)
    headline, description = bag.text("headline", join="\n"), bag.text("description", join="\n")
    event = bag.text("event")
    if not (event or headline or description):
        notes.repair(bag.where, "no event, headline or description; left out")
        return None
    if event is None:
        event = (headline or description or "")[:200].strip()
        notes.repair(bag.path("event"), "missing; taken from the text")
    return Info(
        categories=_categories(bag),
        event=event,
        urgency=values.graded(bag, Urgency, "urgency"),
        severity=values.graded(bag, Severity, "severity"),
        certainty=values.graded(bag, Certainty, "certainty"),
        language=values.language(bag),
        response_types=values.several(bag, ResponseType, "responseType"),
        audience=bag.text("audience") or None,
        event_codes=values.pairs(bag, "eventCode"),
        effective=values.moment(bag, "effective", zone),
        onset=values.moment(bag, "onset", zone),
        expires=values.moment(bag, "expires", zone),
        sender_name=bag.text("senderName") or None,
        headline=headline or None,
        description=description or None,
        instruction=bag.text("instruction", join="\n") or None,
        web=values.uri(bag, "web"),
        contact=bag.text("contact", join="\n") or None,
        parameters=values.pairs(bag, "parameter"),
        resources=tuple(
            _resource(child, bag.path("resource", n), notes)
            for n, child in enumerate(bag.all("resource"), 1)
        ),
        areas=tuple(
            _area(child, bag.path("area", n), notes) for n, child in enumerate(bag.all("area"), 1)
        ),
    )


def _categories(bag: Bag) -> tuple[Category, ...]:
    found = values.several(bag, Category, "category", otherwise=Category.OTHER)
    if not found:
        bag.notes.repair(bag.path("category"), "missing; read as Other")
    return found or (Category.OTHER,)


def _resource(element: etree._Element, where: str, notes: Notes) -> Resource:
    bag = Bag(element, "resource", where, notes)
    uri = values.uri(bag, "uri")
    described, mime_type = bag.text("resourceDesc"), bag.text("mimeType")
    if described is None:
        described = uri or ""
        notes.repair(bag.path("resourceDesc"), "missing; the address stands for it")
    if mime_type is None:
        mime_type = "application/octet-stream"
        notes.repair(bag.path("mimeType"), f"missing; read as {mime_type}")
    return Resource(
        resource_desc=described,
        mime_type=mime_type,
        size=values.integer(bag, "size"),
        uri=uri,
        deref_uri=bag.text("derefUri") or None,
        digest=bag.text("digest") or None,
    )


def _area(element: etree._Element, where: str, notes: Notes) -> Area:
    bag = Bag(element, "area", where, notes)
    geocodes = values.pairs(bag, "geocode")
    described = bag.text("areaDesc", join="; ")
    if described is None:
        described = ", ".join(code.value for code in geocodes)[:500].strip()
        notes.repair(bag.path("areaDesc"), "missing; the geocodes stand for it")
    return Area(
        area_desc=described,
        polygons=tuple(_shapes(bag, "polygon", shapes.polygon)),
        circles=tuple(_shapes(bag, "circle", shapes.circle)),
        geocodes=geocodes,
        altitude=values.number(bag, "altitude"),
        ceiling=values.number(bag, "ceiling"),
    )


def _shapes(
    bag: Bag, name: str, read: Callable[[str], shapes.Drawn[shapes.Shape]]
) -> list[shapes.Shape]:
    found = []
    for number, text in enumerate(bag.texts(name), 1):
        if not text:
            continue
        drawn, where = read(text), bag.path(name, number)
        bag.notes.remark(where, drawn.remarks)
        if drawn.unclear:
            bag.notes.ask(where, drawn.unclear, drawn.remedy)
        if drawn.shape is not None:
            found.append(drawn.shape)
    return found
