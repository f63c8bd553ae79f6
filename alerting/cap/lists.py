"""CAP's lists inside one text: references, and names that are quoted when they contain blanks.

Source: OASIS CAP-v1.2-os §3.2.1, `addresses`, `references`, `incidents`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import islice

from alerting.cap import dates
from alerting.cap.report import CapError
from alerting.domain.alert import Reference

_NAME = re.compile(r'"([^"]*)"|([^\s"]+)')
# A reference is found from its end: nothing else looks like a comma and a time, while identifiers
# and names of some senders contain commas and blanks.
_SENT = re.compile(
    r",\s*(\d{4}-\d\d?-\d\d?[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[-+]\d\d:?\d\d)?)"
    r"(?=[\s,;]|$)",
    re.ASCII,
)
_FIRST_WORD = re.compile(r"(?:^|(?<=[\s;]))([^\s,;]++)\s*+,")
_PIECE = re.compile(r"[^\s;]++")
_CLOCK = re.compile(r"\d[\d:.+/TZ-]*+", re.ASCII)
#: No alert's identifier or sender is longer.
_LONGEST = 1000
#: More references than these are an error, and would take long to read.
_MOST = 5000

#: A longer text of names is not read.
MOST_NAMES_TEXT = 200_000


def names(text: str) -> tuple[str, ...]:
    """The names of an `addresses` or `incidents` text, without their quotes.

    Raises:
        CapError: For a text of more than `MOST_NAMES_TEXT` characters.
    """
    if len(text) > MOST_NAMES_TEXT:
        raise CapError(
            f"A list of names has {len(text):,} characters; at most {MOST_NAMES_TEXT:,} are read.",
            remedy="Name groups or rosters instead of each of their members.",
        )
    found = ((quoted or plain).strip() for quoted, plain in _NAME.findall(text))
    return tuple(name for name in found if name)


def names_text(items: Iterable[str]) -> str:
    """The inverse of `names`; a quotation mark inside a name becomes an apostrophe."""
    plain = (item.replace('"', "'") for item in items)
    return " ".join(f'"{item}"' if re.search(r"\s", item) else item for item in plain)


@dataclass(frozen=True, slots=True)
class References:
    """A `references` text as read.

    Attributes:
        loose: The identifiers of incomplete references.
        remarks: What was read differently than written, and what was left out.
    """

    whole: tuple[Reference, ...]
    loose: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def references(text: str, *, zone: tzinfo | None = None, sender: str = "") -> References:
    """The CAP references in a text, and the identifiers of incomplete ones.

    One that cannot be read does not affect the others.

    Args:
        zone: For a time written without offset, that of the alert's own times; else UTC.
        sender: The alert's own, which its references mostly name.
    """
    return _Reading(zone, sender).read(text)


class _Reading:
    def __init__(self, zone: tzinfo | None, sender: str) -> None:
        self._zone = zone
        self._senders = {sender.lower()} - {""}
        self._whole: list[Reference] = []
        self._loose: dict[str, None] = {}
        self._remarks: list[str] = []
        self._left = _MOST

    def read(self, text: str) -> References:
        at = 0
        times = list(islice(_SENT.finditer(text), _MOST))
        for number, time in enumerate(times):
            before = text[at : time.start()]
            another = number + 1 < len(times) and times[number + 1].start() == time.end()
            if another and "," not in before:
                continue  # This one is an identifier that looks like a time.
            at = time.end() + text.startswith((",", ";"), time.end())
            start = self._start(before)
            if start:
                self._senders.add(before[start:].partition(",")[0].strip().lower())
                self._read_loose(before[:start])
            self._read_reference(before[start:], time[1])
        self._read_loose(text[at:])
        return References(tuple(self._whole), tuple(self._loose), tuple(self._remarks))

    def _start(self, before: str) -> int:
        """The position where the last sender begins in the text before a time.

        Text before it lacks a time. When nothing is surely a sender it is all one reference.
        """
        known = self._senders | {before.partition(",")[0].strip().lower()}
        start = 0
        for found in _FIRST_WORD.finditer(before):
            word = found[1].lower()
            if word in known or ("@" in word and not _follows_comma(before, found.start())):
                start = found.start(1)
        return start

    def _read_reference(self, before: str, time: str) -> None:
        sender, _, identifier = (part.strip() for part in before.partition(","))
        if not identifier:
            self._read_loose(f"{sender},{time.replace(' ', 'T')}")
            return
        moment = dates.parse(time)
        if moment is None or moment.at is None:
            self._keep(f"{sender},{identifier},{time}", [identifier])
            return
        if max(len(sender), len(identifier)) > _LONGEST:
            self._leave_out(before)
            return
        if not sender:
            self._keep(f",{identifier},{time}", [identifier])
            return
        if moment.at.tzinfo is None:
            zone = "UTC" if self._zone is None else self._zone
            self._remarks.append(f"{time!r} has no offset; given {zone}")
        sent = moment.at if moment.at.tzinfo else moment.at.replace(tzinfo=self._zone or UTC)
        self._remarks += (*moment.mends, *moment.remarks)
        self._senders.add(sender.lower())
        self._whole.append(Reference(sender, identifier, sent))

    def _read_loose(self, text: str) -> None:
        """Identifiers alone, with their sender, or with an invalid time; separated by blanks."""
        tight = ",".join(part.strip() for part in text.split(","))
        for found in _PIECE.finditer(tight):
            piece = found[0]
            parts = [part for part in piece.split(",", _MOST) if part]
            if parts:
                self._keep(piece, self._identifiers(parts))
            if self._left <= 0:
                self._leave_out(tight[found.end() : found.end() + 80])
                return

    def _identifiers(self, parts: list[str]) -> list[str]:
        if _is_clock(parts[-1]):
            parts = parts[:-1]
            if len(parts) > 1:
                return [",".join(parts[1:])]
        elif len(parts) > 1 and ("@" in parts[0] or parts[0].lower() in self._senders):
            # A third part stands where the time should be.
            return [",".join(parts[1:-1] or parts[1:])]
        # Without a sender to tell, each may be an identifier; one too many finds nothing.
        return [part for part in parts if part.lower() not in self._senders]

    def _keep(self, piece: str, identifiers: list[str]) -> None:
        kept = [one for one in identifiers if len(one) <= _LONGEST][: self._left]
        self._left -= len(kept) or 1
        if not kept:
            self._leave_out(piece)
            return
        self._loose.update(dict.fromkeys(kept))
        self._remarks.append(
            f"no sender,identifier,sent: {_glimpse(piece)}; only the identifier kept"
        )

    def _leave_out(self, piece: str) -> None:
        self._remarks.append(f"no sender,identifier,sent, left out: {_glimpse(piece)}")


def _follows_comma(text: str, at: int) -> bool:
    while at and text[at - 1].isspace():
        at -= 1
    return text[at - 1 : at] == ","


def _is_clock(text: str) -> bool:
    return ":" in text and bool(_CLOCK.fullmatch(text))


def _glimpse(text: str) -> str:
    return repr(" ".join(text[:80].split()))


def references_text(items: Iterable[Reference]) -> str:
    """The inverse of `references`."""
    return " ".join(f"{r.sender},{r.identifier},{dates.cap_form(r.sent)}" for r in items)
