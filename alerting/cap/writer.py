"""Alert → CAP 1.2 XML that the OASIS schema accepts, whatever texts the alert holds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from lxml import etree

from alerting.cap import dates, lists, shapes
from alerting.cap.elements import CAP_12
from alerting.cap.values import DEFAULT_LANGUAGE, as_uri, is_language
from alerting.domain.alert import Alert, Area, Info, NamedValue, Resource

_PREFIX: dict[Any, str] = {None: CAP_12}  # lxml's own way to say "no prefix"; its types forget it
# XML 1.0 cannot represent these, not even escaped.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def to_xml(alert: Alert) -> bytes:
    """Write an alert as a schema-valid CAP 1.2 document in UTF-8.

    `read` gives an equal alert back, except for its repairs, which are permanent. Characters that
    XML cannot represent become blanks; an invalid web address is left out.

    Raises:
        ValueError: For what CAP cannot express: an info without a category, a time without an
            offset.
    """
    root = etree.Element(_name("alert"), nsmap=_PREFIX)
    _text(root, "identifier", alert.identifier)
    _text(root, "sender", alert.sender)
    _text(root, "sent", dates.cap_form(alert.sent))
    _text(root, "status", alert.status)
    _text(root, "msgType", alert.msg_type)
    _optional(root, "source", alert.source)
    _text(root, "scope", alert.scope)
    _optional(root, "restriction", alert.restriction)
    _optional(root, "addresses", lists.names_text(alert.addresses))
    for code in alert.codes:
        _text(root, "code", code)
    _optional(root, "note", alert.note)
    _optional(root, "references", lists.references_text(alert.references))
    _optional(root, "incidents", lists.names_text(alert.incidents))
    for info in alert.infos:
        _info(root, info)
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _info(root: etree._Element, info: Info) -> None:
    if not info.categories:
        raise ValueError("an info without a category cannot be written as CAP")
    parent = etree.SubElement(root, _name("info"))
    _text(parent, "language", info.language if is_language(info.language) else DEFAULT_LANGUAGE)
    for category in info.categories:
        _text(parent, "category", category)
    _text(parent, "event", info.event)
    for response_type in info.response_types:
        _text(parent, "responseType", response_type)
    _text(parent, "urgency", info.urgency)
    _text(parent, "severity", info.severity)
    _text(parent, "certainty", info.certainty)
    _optional(parent, "audience", info.audience)
    _pairs(parent, "eventCode", info.event_codes)
    _time(parent, "effective", info.effective)
    _time(parent, "onset", info.onset)
    _time(parent, "expires", info.expires)
    _optional(parent, "senderName", info.sender_name)
    _optional(parent, "headline", info.headline)
    _optional(parent, "description", info.description)
    _optional(parent, "instruction", info.instruction)
    _uri(parent, "web", info.web)
    _optional(parent, "contact", info.contact)
    _pairs(parent, "parameter", info.parameters)
    for resource in info.resources:
        _resource(parent, resource)
    for area in info.areas:
        _area(parent, area)


def _resource(info: etree._Element, resource: Resource) -> None:
    parent = etree.SubElement(info, _name("resource"))
    _text(parent, "resourceDesc", resource.resource_desc)
    _text(parent, "mimeType", resource.mime_type)
    _optional(parent, "size", None if resource.size is None else str(resource.size))
    _uri(parent, "uri", resource.uri)
    _optional(parent, "derefUri", resource.deref_uri)
    _optional(parent, "digest", resource.digest)


def _area(info: etree._Element, area: Area) -> None:
    parent = etree.SubElement(info, _name("area"))
    _text(parent, "areaDesc", area.area_desc)
    for polygon in area.polygons:
        _text(parent, "polygon", shapes.polygon_text(polygon))
    for circle in area.circles:
        _text(parent, "circle", shapes.circle_text(circle))
    _pairs(parent, "geocode", area.geocodes)
    for name, feet in (("altitude", area.altitude), ("ceiling", area.ceiling)):
        _optional(parent, name, None if feet is None else shapes.decimal(feet))


def _pairs(parent: etree._Element, name: str, pairs: tuple[NamedValue, ...]) -> None:
    for pair in pairs:
        element = etree.SubElement(parent, _name(name))
        _text(element, "valueName", pair.name)
        _text(element, "value", pair.value)


def _time(parent: etree._Element, name: str, at: datetime | None) -> None:
    if at is not None:
        _text(parent, name, dates.cap_form(at))


def _uri(parent: etree._Element, name: str, address: str | None) -> None:
    if address:
        _optional(parent, name, as_uri(_UNWRITABLE.sub(" ", address)))


def _optional(parent: etree._Element, name: str, text: str | None) -> None:
    if text:
        _text(parent, name, text)


def _text(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, _name(name)).text = _UNWRITABLE.sub(" ", text)


def _name(local: str) -> str:
    return f"{{{CAP_12}}}{local}"
