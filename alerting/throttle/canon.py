"""Canonical content: hashes that are equal where alerts mean the same."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence

from alerting.domain.alert import Alert, Area, Info


def content_hash(alert: Alert) -> bytes:
    """SHA-256 over what an alert says, without its name, its times and what it refers to.

    Equal whatever the order of infos and areas and however the text is spaced.
    """
    head = (alert.sender, alert.status, alert.msg_type, alert.scope, *sorted(alert.addresses))
    return _hash([*head, sorted((_info(i) for i in alert.infos), key=json.dumps)])


def info_text_hash(info: Info) -> bytes:
    """Over what a citizen reads of an info, its instruction apart."""
    texts = (info.event, info.headline, info.description, info.contact, info.web)
    return _hash([plain(t) for t in texts])


def instruction_hash(info: Info) -> bytes:
    """Over what an info tells a citizen to do."""
    return _hash([plain(info.instruction)])


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
        sorted([c.name.casefold(), c.value] for c in info.event_codes),
        info_text_hash(info).hex(),
        instruction_hash(info).hex(),
        sorted((_area(a) for a in info.areas), key=json.dumps),
    ]


def _area(area: Area) -> list[object]:
    return [
        plain(area.area_desc),
        sorted([g.name.casefold(), g.value] for g in area.geocodes),
        sorted(p.points for p in area.polygons),
        sorted((c.lat, c.lon, c.radius_km) for c in area.circles),
    ]


def _hash(parts: Sequence[object]) -> bytes:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).digest()
