"""One XML element as a set of named children, in any order, case or namespace."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from lxml import etree

from alerting.cap.refusal import refuse_invisible
from alerting.cap.report import CapError, Notes

CAP_12 = "urn:oasis:names:tc:emergency:cap:1.2"
CAP_11 = "urn:oasis:names:tc:emergency:cap:1.1"
CAP_10 = "http://www.incident.com/cap/1.0"
OLDER = {CAP_11: "1.1", CAP_10: "1.0", "urn:oasis:names:tc:emergency:cap:1.0": "1.0"}
XML_DSIG = "http://www.w3.org/2000/09/xmldsig#"
XML_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

#: Children of each parent in the order of the schema's sequences.
ORDER: dict[str, tuple[str, ...]] = {
    "alert": (
        *("identifier", "sender", "sent", "status", "msgType", "source", "scope"),
        *("restriction", "addresses", "code", "note", "references", "incidents", "info"),
    ),
    "info": (
        *("language", "category", "event", "responseType", "urgency", "severity", "certainty"),
        *("audience", "eventCode", "effective", "onset", "expires", "senderName", "headline"),
        *("description", "instruction", "web", "contact", "parameter", "resource", "area"),
    ),
    "resource": ("resourceDesc", "mimeType", "size", "uri", "derefUri", "digest"),
    "area": ("areaDesc", "polygon", "circle", "geocode", "altitude", "ceiling"),
    "pair": ("valueName", "value"),
}

#: Names seen instead of CAP's own, in lower case.
ELEMENT_ALIASES = {"reference": "references", "address": "addresses", "key": "valueName"}


def is_cap(namespace: str) -> bool:
    """True for the namespaces of CAP 1.0, 1.1, 1.2 and for near misses of them."""
    lowered = namespace.lower()
    return lowered in OLDER or ":emergency:cap" in lowered or "incident.com/cap" in lowered


def split(tag: str) -> tuple[str, str]:
    """(namespace, local name) of an lxml tag; an undeclared prefix is dropped."""
    namespace, _, local = tag.rpartition("}")
    return namespace[1:], local.rpartition(":")[2]


_ALIASES = {
    parent: {name.lower(): name for name in names}
    | {alias: name for alias, name in ELEMENT_ALIASES.items() if name in names}
    for parent, names in ORDER.items()
}
#: HTML elements inside a text that do not separate words; any other does.
_INLINE = frozenset(
    {"a", "b", "i", "u", "s", "em", "strong", "span", "font", "small", "big", "sup", "sub", "abbr"}
)
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Bag:
    """The children of a CAP element by CAP's own names; every deviation is noted as a repair.

    Args:
        where: This element's path, empty for the alert itself. lang: the language some senders
            write as an attribute, else "".
    """

    def __init__(self, element: etree._Element, kind: str, where: str, notes: Notes) -> None:
        self.where = where
        self.notes = notes
        self.lang = (element.get("lang") or element.get(_XML_LANG) or "").strip()
        self._element = element
        self._children: dict[str, list[etree._Element]] = {}
        self._note_attributes(element)
        self._sort(element, kind)

    def path(self, name: str, number: int | None = None) -> str:
        step = name if number is None else f"{name}[{number}]"
        return f"{self.where}/{step}" if self.where else step

    def all(self, name: str) -> list[etree._Element]:
        return self._children.get(name, [])

    def texts(self, name: str, *, inner: str = "") -> list[str]:
        """Every occurrence's text, trimmed, empty ones included.

        Args:
            inner: Separates the texts of elements inside it; "" for line ends around those that
                separate words.
        """
        return [self._text(child, name, inner) for child in self.all(name)]

    def text(self, name: str, *, join: str | None = None, inner: str = "") -> str | None:
        """The text of an element that may occur once; None when absent, "" when empty.

        Of several, all are joined with `join` if given, else the first that is not empty is kept.
        """
        texts = self.texts(name, inner=inner)
        if len(texts) < 2:
            return texts[0] if texts else None
        filled = [t for t in texts if t]
        kept = "first one kept" if len(set(texts)) > 1 else "all the same"
        kept = kept if join is None else "joined"
        self.notes.repair(self.path(name), f"{len(texts)} of them where one may be; {kept}")
        return join.join(filled) if join is not None else next(iter(filled), "")

    def sole(self, name: str, whose: str = "alert", *, word: bool = False) -> str:
        """The text of an element that decides who speaks, whether it is real or for whom.

        "" when it is absent or empty. With `word`, a word in another case is the same.

        Raises:
            CapError: Naming the alert by `whose`, when it has several different values, or when its
                text is not the one it looks like.
        """
        if any(len(element) for element in self.all(name)):
            raise CapError(
                f"The {whose} has elements inside its {name}, which is never guessed.",
                remedy=f"Write {name} as plain text.",
            )
        texts = self.texts(name)
        # Only its value is read: of an element with many, each costs a search through all.
        attribute = next((k for k in self._element.attrib if str(k).lower() == name.lower()), None)
        if texts and attribute is not None:
            texts.append((self._element.get(attribute) or "").strip())
        if len({text.lower() if word else text for text in texts}) > 1:
            said = ", ".join(repr(text[:40]) for text in dict.fromkeys(texts[:4]))
            raise CapError(
                f"The {whose} has {len(texts)} times {name}, and they differ: {said}.",
                remedy=f"Say {name} once.",
            )
        text = self.text(name) or ""
        refuse_invisible(name, text, whose)
        return text

    def _text(self, element: etree._Element, name: str, inner: str) -> str:
        if len(element):
            self.notes.repair(self.path(name), "elements inside it; only their text kept")
        if element.attrib:
            self._note_attributes(element, self.path(name))
        if inner or not len(element):
            return inner.join(str(part) for part in element.itertext()).strip()
        return "".join(_parts(element)).strip()

    def _note_attributes(self, element: etree._Element, where: str = "") -> None:
        for key in element.attrib:
            namespace, local = split(str(key))
            if namespace != XML_SCHEMA_INSTANCE:
                self.notes.repair(where or self.where or "alert", f"attribute {local} is not CAP's")

    def _sort(self, parent: etree._Element, kind: str) -> None:
        order = {name: at for at, name in enumerate(ORDER[kind])}
        home, _ = split(str(parent.tag))
        unknown: Counter[str] = Counter()
        last, disordered = 0, ""
        if re.search(r"\S", "".join([parent.text or "", *(c.tail or "" for c in parent)])):
            self.notes.repair(self.where or "alert", "text between elements ignored")
        for child in parent:
            namespace, local = split(str(child.tag))
            if namespace == XML_DSIG:
                continue
            name = _ALIASES[kind].get(local.lower()) if _ours(namespace, home) else None
            if name is None:
                unknown[local] += 1
                continue
            if name != local:
                self.notes.repair(self.path(name), f"named {local}")
            if namespace != home:
                self.notes.repair(self.where or "alert", "elements of several namespaces")
            if order[name] < last:
                disordered = disordered or name
            last = max(last, order[name])
            self._children.setdefault(name, []).append(child)
        if disordered:
            self.notes.repair(self.where or "alert", f"elements out of order, {disordered} first")
        for local, count in unknown.items():
            times = f" ({count} times)" if count > 1 else ""
            self.notes.repair(self.path(local[:60]), f"unknown to CAP 1.2; ignored{times}")


def _parts(element: etree._Element) -> Iterator[str]:
    """The texts in an element in order, with a line end before and after what parts words."""
    for event, inside in etree.iterwalk(element, events=("start", "end")):
        tag = split(str(inside.tag))[1].lower()
        edge = "" if inside is element or tag in _INLINE else "\n"
        if event == "start":
            yield f"{edge}{'- ' if tag == 'li' else ''}{inside.text or ''}"
        else:
            yield edge if inside is element else f"{edge}{inside.tail or ''}"


def _ours(namespace: str, home: str) -> bool:
    return namespace in (home, "") or is_cap(namespace)


def note_namespace(element: etree._Element, notes: Notes) -> None:
    """Note an alert that is not in the namespace of CAP 1.2."""
    namespace, local = split(str(element.tag))
    if local != "alert":
        notes.repair("alert", f"named {local}")
    if namespace in OLDER:
        notes.repair("alert", f"CAP {OLDER[namespace]} read as CAP 1.2")
    elif not namespace:
        notes.repair("alert", "no namespace; read as CAP 1.2")
    elif namespace != CAP_12:
        notes.repair("alert", f"namespace {namespace[:80]} read as CAP 1.2")
