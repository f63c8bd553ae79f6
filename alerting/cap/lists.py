"""CAP's lists inside one text: references, and names that are quoted where they hold blanks.

Source: OASIS CAP-v1.2-os §3.2.1, `addresses`, `references`, `incidents`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, tzinfo

from alerting.cap import dates
from alerting.domain.alert import Reference

_BLANK = re.compile(r"\s*\Z")
_NAME = re.compile(r'"([^"]*)"|([^\s"]+)')
# A sender holds no comma; an identifier of some senders does, and so does everything up to a date.
_REFERENCE = re.compile(
    r"\s*([^,]{1,1000}),(\S.{0,1000}?),"
    r"(\d{4}-\d\d?-\d\d?[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[-+]\d\d:?\d\d)?)"
    r"(?=[\s,;]|$)[,;]?",
    re.ASCII | re.DOTALL,
)


def names(text: str) -> tuple[str, ...]:
    """The names of an `addresses` or `incidents` text, without their quotes."""
    found = ((quoted or plain).strip() for quoted, plain in _NAME.findall(text))
    return tuple(name for name in found if name)


def names_text(items: Iterable[str]) -> str:
    """The inverse of `names`; a quotation mark inside a name becomes an apostrophe."""
    plain = (item.replace('"', "'") for item in items)
    return " ".join(f'"{item}"' if re.search(r"\s", item) else item for item in plain)


def references(
    text: str, zone: tzinfo | None = None
) -> tuple[tuple[Reference, ...], tuple[str, ...]]:
    """The triples of a `references` text, and what was read otherwise than written.

    zone: for a time written without offset, that of the alert's own times; else UTC.
    """
    found: list[Reference] = []
    remarks: list[str] = []
    at = 0
    while not _BLANK.match(text, at):
        match = _REFERENCE.match(text, at)
        moment = dates.parse(match[3]) if match else None
        if match is None or moment is None or moment.at is None:
            rest = " ".join(text[at : at + 80].split())
            remarks.append(f"no sender,identifier,sent from here on, left out: {rest!r}")
            break
        if moment.at.tzinfo is None:
            remarks.append(f"{match[3]!r} has no offset; given {'UTC' if zone is None else zone}")
        sent = moment.at if moment.at.tzinfo else moment.at.replace(tzinfo=zone or UTC)
        remarks += (*moment.mends, *moment.remarks)
        found.append(Reference(match[1].strip(), match[2].strip(), sent))
        at = match.end()
    return tuple(found), tuple(remarks)


def references_text(items: Iterable[Reference]) -> str:
    """The inverse of `references`."""
    return " ".join(f"{r.sender},{r.identifier},{dates.cap_form(r.sent)}" for r in items)
