"""Bytes → alerts: CAP itself, our JSON, feeds and envelopes that carry CAP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from lxml import etree

from alerting.cap import document
from alerting.cap.alert_element import alert_of, remarked
from alerting.cap.binding import from_json
from alerting.cap.elements import is_cap, split
from alerting.cap.envelopes import Carried, carried, is_envelope, unreal_outside
from alerting.cap.refusal import (
    refuse_costly,
    refuse_invisible,
    refuse_large,
    refuse_unclear,
)
from alerting.cap.report import CapError
from alerting.domain.alert import Alert, Status
from alerting.errors import BadInput

Kind = Literal["cap", "feed", "edxl", "json"]

_ENTRIES = ("entry", "item")


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a document.

    Attributes:
        links: URLs of CAP documents in a feed or envelope.
        refused: Why alerts beside those in `alerts` could not be used, a sentence each. A document
            whose only alert is refused raises CapError instead.
    """

    kind: Kind
    alerts: tuple[Alert, ...]
    links: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read(data: bytes, *, max_bytes: int = 2_000_000) -> Reading:
    """Read every alert of a document leniently, each with its repairs noted on it.

    Accepts CAP 1.0 to 1.2, our JSON binding, Atom and RSS feeds, EDXL-DE envelopes and any other
    XML that contains CAP alerts. Opens nothing but the given bytes.

    Raises:
        CapError: With a remedy, for what is unsafe (DOCTYPE, size, depth), is not XML, or contains
            no usable alert.
    """
    if len(data) > max_bytes:
        raise CapError(
            f"The document has {len(data):,} bytes; at most {max_bytes:,} are read.",
            remedy="Send large pictures and sounds as links, not inside the alert.",
        )
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:2]
    if not start:
        raise CapError("The document is empty.")
    if start[:1] == b"{":
        return Reading("json", (_of_json(data),))
    if start[:1] == b"<" or start in (b"\xff\xfe", b"\xfe\xff", b"\0<"):
        return _xml(data)
    if (rest := document.without_text_before(data)) is None:
        raise CapError("The document is neither XML nor a JSON object.")
    return _xml(rest, document.TEXT_BEFORE)


def read_alert(data: bytes, *, max_bytes: int) -> Alert:
    """Read the one alert of a document that a person submits.

    Raises:
        BadInput: Also for a document that is too costly, too large or unclear.
    """
    if len(data) <= max_bytes:
        refuse_costly(data)
    alert = read_one(data, max_bytes=max_bytes)
    # Not in `read_one`: a Cancel of an alert accepted before these rules must pass.
    refuse_large(alert)
    refuse_unclear(alert)
    return alert


def read_one(data: bytes, *, max_bytes: int) -> Alert:
    """Read the one alert of a document. Raises BadInput for none or several."""
    reading = read(data, max_bytes=max_bytes)
    if not reading.alerts:
        raise BadInput(
            "This document holds no alert.",
            remedy="A feed only links to alerts: submit one of the documents it names."
            if reading.links
            else "Submit a CAP alert in XML or JSON.",
        )
    count = len(reading.alerts) + len(reading.refused)
    if count > 1:
        raise BadInput(f"This document holds {count} alerts.", remedy="Submit them one by one.")
    return reading.alerts[0]


def _of_json(data: bytes) -> Alert:
    alert = from_json(_json(data))
    for name in ("identifier", "sender"):
        refuse_invisible(name, getattr(alert, name))
    return remarked(alert)


def _json(data: bytes) -> dict[str, object]:
    try:
        value = json.loads(data, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as e:
        reason = "it nests too deep" if isinstance(e, RecursionError) else e
        raise CapError(f"This is not readable JSON: {reason}.") from None
    return dict(value)


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object as its sender wrote it. Readers differ on which value of a repeated name counts."""
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise CapError(
            f"An object of this JSON gives {twice[:40]!r} more than once.",
            remedy="Give each name once.",
        )
    return value


def _xml(data: bytes, *mended: str) -> Reading:
    found = document.parse(data)
    root, mends = found.root, (*mended, *found.mends)
    local = split(str(root.tag))[1]
    if local.lower() == "alert":
        return Reading("cap", (alert_of(root, mends),))
    if local in ("feed", "rss", "RDF"):
        return _feed(root, mends)
    if is_envelope(str(root.tag)):
        return _envelope(root, mends)
    alerts, refused = _every(carried(root, mends))
    if not alerts and not refused:
        raise CapError(
            f"This is XML without a CAP alert: its outermost element is {local[:60]!r}.",
            remedy="Send a CAP alert, a feed of them or an EDXL-DE envelope.",
        )
    return _or_refuse(Reading("cap", alerts, (), refused))


def _feed(root: etree._Element, mends: tuple[str, ...]) -> Reading:
    """An entry gives the alerts embedded in it, or else the link to them."""
    alerts: list[Alert] = []
    links: list[str] = []
    refused: list[str] = []
    entries = list(_entries(root))
    outside = unreal_outside(root, entries)
    for entry in entries:
        found = carried(entry, mends)
        embedded, whys = _every(replace(one, said=one.said or outside) for one in found)
        alerts += embedded
        refused += whys
        if not embedded and (link := _link(entry)):
            links.append(link)
    return Reading("feed", tuple(alerts), tuple(dict.fromkeys(links)), tuple(refused))


def _entries(root: etree._Element) -> Iterator[etree._Element]:
    """Atom's entries and RDF's items are children of the root, RSS's of its channel."""
    for child in root:
        local = split(str(child.tag))[1]
        if local in _ENTRIES:
            yield child
        elif local == "channel":
            yield from (item for item in child if split(str(item.tag))[1] in _ENTRIES)


def _envelope(root: etree._Element, mends: tuple[str, ...]) -> Reading:
    alerts, refused = _every(carried(root, mends))
    links = tuple(dict.fromkeys(t for t in _texts(root, "uri") if _is_link(t)))
    return _or_refuse(Reading("edxl", alerts, links, refused))


def _or_refuse(reading: Reading) -> Reading:
    if reading.refused and not reading.alerts and not reading.links:
        raise CapError(" ".join(reading.refused))
    return reading


def _every(found: Iterable[Carried]) -> tuple[tuple[Alert, ...], tuple[str, ...]]:
    """Read each alert; one that cannot be used does not affect the others."""
    alerts, refused = [], []
    for one in found:
        try:
            alert = alert_of(one.element, one.mends)
        except CapError as e:
            refused.append(str(e))
            continue
        if one.said is not None and alert.status is Status.ACTUAL:
            # A rehearsal wrapped around an alert that calls itself real must not reach the public.
            refused.append(
                f"The alert {alert.identifier[:80]!r} says Actual inside an envelope that says "
                f"{one.said}. Let both say the same."
            )
        else:
            alerts.append(alert)
    return tuple(alerts), tuple(refused)


def _link(entry: etree._Element) -> str | None:
    """The URL of an entry's CAP document: an explicit link, else the entry's page, else its id."""
    by_rank: dict[int, str] = {}
    for child in entry:
        local = split(str(child.tag))[1]
        text = (child.get("href") or child.get("url") or child.text or "").strip()
        if not _is_link(text):
            continue
        if local in ("link", "enclosure") and "cap" in (child.get("type") or ""):
            by_rank.setdefault(0, text)
        elif local == "link" and child.get("rel", "alternate") == "alternate":
            by_rank.setdefault(1, text)
        elif local in ("id", "guid"):
            by_rank.setdefault(2, text)
    return by_rank[min(by_rank)] if by_rank else None


def _is_link(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _texts(root: etree._Element, name: str) -> Iterator[str]:
    """The texts of an envelope's own elements of that name, not of its content."""
    for element in root.iter():
        namespace, local = split(str(element.tag))
        if local == name and not is_cap(namespace):
            yield (element.text or "").strip()
