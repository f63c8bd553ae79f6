"""Canonical content: hashes that are equal when alerts mean the same."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence

from alerting.domain.alert import Alert, Area, Info, NamedValue, Resource


def content_hash(alert: Alert) -> bytes:
    """SHA-256 over an alert's content, without its name, times, note and references.

    Independent of the order of infos, areas and codes, of white space in texts, and of the case of
    code names.
    """
    head = (
        alert.sender,
        alert.status,
        alert.msg_type,
        alert.scope,
        alert.source,
        alert.restriction,
    )
    return _hash(
        [*head, sorted(alert.addresses), sorted(alert.codes), _sorted(map(_info, alert.infos))]
    )


def text_hash(info: Info) -> bytes:
    """A hash over everything a citizen may read of an info."""
    texts = (
        info.event,
        info.headline,
        info.description,
        info.instruction,
        info.contact,
        info.web,
    )
    return _hash([plain(t) for t in texts])


def plain(text: str | None) -> str:
    """A text in one spelling: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text or "").split())


def _info(info: Info) -> list[object]:
    return [
        info.language.casefold(),
        sorted(info.categories),
        info.urgency,
        info.severity,
        info.certainty,
        sorted(info.response_types),
        plain(info.audience),
        plain(info.sender_name),
        _named(info.event_codes),
        _named(info.parameters),
        text_hash(info).hex(),
        _sorted(map(_resource, info.resources)),
        _sorted(map(_area, info.areas)),
    ]


def _area(area: Area) -> list[object]:
    return [
        plain(area.area_desc),
        _named(area.geocodes),
        sorted(p.points for p in area.polygons),
        sorted((c.lat, c.lon, c.radius_km) for c in area.circles),
        area.altitude,
        area.ceiling,
    ]


def _resource(one: Resource) -> list[object]:
    return [plain(one.resource_desc), one.mime_type, one.uri, one.digest]


def _named(pairs: Iterable[NamedValue]) -> list[list[str]]:
    return sorted([p.name.casefold(), p.value] for p in pairs)


def _sorted(parts: Iterable[list[object]]) -> list[list[object]]:
    return sorted(parts, key=json.dumps)


def _hash(parts: Sequence[object]) -> bytes:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).digest()
