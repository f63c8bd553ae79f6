"""The alerts in an XML document, and what the envelopes around each say about its reality.

Sources: EDXL-DE 1.0 and 2.0, whose `distributionStatus` applies to everything inside: a word in
1.0, a word or an entry of a value list in separate elements in 2.0. Others wrap alerts too, with
their own spelling.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from alerting.cap import document
from alerting.cap.elements import is_cap, split
from alerting.cap.report import CapError
from alerting.cap.values import plain
from alerting.domain.alert import Status

# `distributionType` and `distributionKind` (Report, Update, Cancel, Ack, Error) relate the envelope
# to an earlier envelope; they do not say whether an alert is real, and the alert itself says what
# it does to earlier alerts. They are ignored.
#: How names of elements end that say whether an envelope is real.
_STATUSES = ("distributionstatus", "statuskind", "statuskinddefault")
_UNREAL = frozenset(plain(status) for status in Status if status is not Status.ACTUAL)
_EMBEDDED = ("embeddedXMLContent", "keyXMLContent", "xmlContent", "contentData", "content")
#: No status takes more elements.
_FEW = 20


@dataclass(frozen=True, slots=True)
class Carried:
    """An alert in a document.

    Attributes:
        mends: Repairs of the document that contains it.
        said: The status an envelope around it gives when that is not Actual; None when each says
            Actual or says nothing.
    """

    element: etree._Element
    mends: tuple[str, ...]
    said: str | None


@lru_cache(maxsize=256)
def is_envelope(tag: str) -> bool:
    """True for the outermost element of EDXL-DE, in any spelling."""
    return plain(_local(tag)) == "edxldistribution"


def carried(
    parent: etree._Element, mends: tuple[str, ...] = (), *, in_text: bool = True
) -> list[Carried]:
    """Every alert below an element, in its order.

    An alert is an `alert` element in a CAP namespace, or one with identifier, sender and sent.
    Elements inside an alert belong to it. With `in_text` also alerts written as escaped or base64
    text; other text is skipped.
    """
    places: list[tuple[etree._Element, list[Carried]]] = []
    statuses: dict[etree._Element, str] = {}
    walk = etree.iterwalk(parent, events=("start",))
    for _, element in walk:
        if element is not parent and _is_alert(element):
            places.append((element, [Carried(element, mends, None)]))
            walk.skip_subtree()
            continue
        if in_text and (inside := _in_text(element)):
            places.append((element, inside))
        for where, said in _unreal(element):
            statuses.setdefault(where, said)
    held = _held(statuses, parent, [place for place, _ in places])
    found = []
    for place, alerts in places:
        around = next((held[e] for e in _upwards(place, parent) if e in held), None)
        found += [Carried(c.element, c.mends, c.said or around) for c in alerts]
    return found


def unreal_outside(root: etree._Element, entries: Iterable[etree._Element]) -> str | None:
    """The status a feed gives outside its entries, when that is not Actual."""
    inside = set(entries)
    walk = etree.iterwalk(root, events=("start",))
    for _, element in walk:
        if element in inside or _is_alert(element):
            walk.skip_subtree()
            continue
        for _, said in _unreal(element):
            return said
    return None


def _is_alert(element: etree._Element) -> bool:
    if _local(str(element.tag)).lower() != "alert":
        return False
    names = {_local(str(child.tag)) for child in element}
    return is_cap(split(str(element.tag))[0]) or {"identifier", "sender", "sent"} <= names


def _in_text(element: etree._Element) -> list[Carried]:
    if _local(str(element.tag)) not in _EMBEDDED or len(element):
        return []
    text = (element.text or "").strip()
    data = text.encode("utf-8", "replace")
    if not text.startswith("<"):
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            return []
    if b"alert" not in data.lower():
        return []
    try:
        found = document.parse(data)
    except CapError:
        return []
    if _local(str(found.root.tag)).lower() == "alert":
        return [Carried(found.root, found.mends, None)]
    return carried(found.root, found.mends, in_text=False)


def _held(
    statuses: dict[etree._Element, str],
    parent: etree._Element,
    places: list[etree._Element],
) -> dict[etree._Element, str]:
    """The envelopes that do not say Actual, and what each says.

    Args:
        statuses: The given values, by their element. A value applies to the smallest element around
            it that contains an alert; inside EDXL-DE, to the whole of that.
        places: Where the alerts are.
    """
    if not statuses:
        return {}
    carrying: set[etree._Element] = set()
    for place in places:
        for element in _upwards(place, parent):
            if element in carrying:
                break
            carrying.add(element)
    held: dict[etree._Element, str] = {}
    for inside, said in statuses.items():
        around = list(_upwards(inside, parent))
        first = next((n for n, e in enumerate(around) if is_envelope(str(e.tag))), 0)
        envelope = next((e for e in around[first:] if e in carrying), parent)
        held.setdefault(envelope, said)
    return held


def _upwards(element: etree._Element, top: etree._Element) -> Iterator[etree._Element]:
    yield element
    while element is not top and (above := element.getparent()) is not None:
        yield above
        element = above


def _unreal(element: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    """The status in an element and its attributes, when that is not Actual, and where it is."""
    # With many attributes each value costs a search through all.
    named = [key for key in map(str, element.keys()) if _status(key)]
    if len(named) > _FEW:
        yield element, "more than can be read"
    for key in named[:_FEW]:
        if said := _not_actual(_status(key), [element.get(key) or ""]):
            yield element, said
    name = _status(str(element.tag))
    if name and (said := _not_actual(name, _pieces(element))):
        above = element.getparent()
        yield element if above is None else above, said


def _not_actual(name: str, pieces: Iterable[str]) -> str | None:
    words = [word for piece in pieces if (word := piece.strip())]
    if name.endswith(_STATUSES):
        # Only the word itself and nothing that looks like it: not every reader sees the same there.
        if words and all(word.isascii() and word.lower() == "actual" for word in words):
            return None
        return " ".join(words)[:60] or "nothing of its status"
    # Other envelopes have other statuses ("sent", "200"); only those of a drill count.
    return next((w for w in [*words, "".join(words)] if plain(w) in _UNREAL), None)


def _pieces(element: etree._Element) -> Iterator[str]:
    """The texts below an element, without the name of the list that its words are from."""
    for number, one in enumerate(element.iter()):
        if number == _FEW:
            yield "…"
            return
        if plain(_local(str(one.tag))) != "valuelisturi":
            yield one.text or ""
        if one is not element:
            yield one.tail or ""


@lru_cache(maxsize=256)
def _status(tag: str) -> str:
    """The plain name of an element or attribute that says a status, else ""."""
    name = plain(_local(tag))
    return name if name.endswith(("status", *_STATUSES)) else ""


@lru_cache(maxsize=256)
def _local(tag: str) -> str:
    return split(tag)[1]
