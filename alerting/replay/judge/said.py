"""What one info of an alert says to its readers."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from alerting.domain.alert import Alert, Certainty, Info, ResponseType, Severity, Urgency
from alerting.domain.language import primary

#: Stands for an end that is not stated; later than any other.
NO_END = datetime.max.replace(tzinfo=UTC)

_URGENCY = {
    Urgency.IMMEDIATE: 0,
    Urgency.EXPECTED: 0,
    Urgency.FUTURE: 1,
    Urgency.UNKNOWN: 2,
    Urgency.PAST: 3,
}
_CERTAINTY = {
    Certainty.OBSERVED: 0,
    Certainty.LIKELY: 0,
    Certainty.POSSIBLE: 1,
    Certainty.UNLIKELY: 1,
    Certainty.UNKNOWN: 2,
}
_IDLE = frozenset({ResponseType.NONE, ResponseType.ALL_CLEAR})
#: Responses that move people.
_MOVING = frozenset(
    {
        ResponseType.SHELTER,
        ResponseType.EVACUATE,
        ResponseType.PREPARE,
        ResponseType.EXECUTE,
        ResponseType.AVOID,
    }
)

_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_MINUS = re.compile(r"(?<!\w)[-\u2212](?=\d)")


@dataclass(frozen=True, slots=True)
class Said:
    """The content of an info in comparable form.

    Attributes:
        rank, urgency, certainty: Classes; 0 is the most severe, most urgent, most certain.
        text: Headline and guidance without case, punctuation and layout.
        end: The stated end, to the minute.
        until: How long it is in force.
        onset: None when none is stated.
    """

    sender: str
    event: str
    rank: int
    urgency: int
    certainty: int
    responses: frozenset[ResponseType]
    language: str
    text: str
    end: datetime
    until: datetime
    onset: datetime | None
    at_once: bool

    @property
    def words(self) -> tuple[object, ...]:
        """Equal when a reader learns nothing new except times."""
        return (
            self.sender,
            self.rank,
            self.urgency,
            self.certainty,
            self.responses,
            self.language,
            self.text,
        )

    @property
    def moving(self) -> frozenset[ResponseType]:
        """The responses that move people."""
        return self.responses & _MOVING

    def as_much_as(self, other: Said) -> bool:
        """True when it is as severe and urgent, and asks for all that the other asks for."""
        return (
            self.rank <= other.rank
            and self.urgency <= other.urgency
            and self.responses >= other.moving
        )


def said_by(alert: Alert, info: Info | None, *, default: timedelta) -> Said:
    """What an alert says by one info; without an info it is a notice.

    Args:
        default: How long an info without an end is in force.
    """
    sender = alert.sender.casefold()
    if info is None:
        until = alert.sent + default
        return Said(
            sender, "", Severity.UNKNOWN.rank, 2, 2, frozenset(), "", plain(alert.note),
            NO_END, until, None, False,
        )  # fmt: skip
    ending = _event_ending(info)
    stated = ending or info.expires
    if ending is None and stated is not None and info.onset is not None and stated <= info.onset:
        stated = None  # a message that expires before its danger begins does not state its end
    ends = [t for t in (ending, info.expires) if t is not None]
    return Said(
        sender=sender,
        event=plain(info.event),
        rank=info.severity.rank,
        urgency=_URGENCY[info.urgency],
        certainty=_CERTAINTY[info.certainty],
        responses=frozenset(info.response_types) - _IDLE,
        language=primary(info.language),
        text="\n".join(
            (plain(info.headline) or plain(info.event),
             plain(info.instruction) or plain(info.description))
        ),
        end=NO_END if stated is None else stated.replace(second=0, microsecond=0),
        until=max(ends, default=alert.sent + default),
        onset=info.onset,
        at_once=info.urgency is Urgency.IMMEDIATE,
    )  # fmt: skip


def _event_ending(info: Info) -> datetime | None:
    """`eventEndingTime`, if the sender states it apart from the end of the message."""
    for p in info.parameters:
        if p.name.casefold() == "eventendingtime":
            try:
                at = datetime.fromisoformat(p.value.strip())
            except ValueError:
                return None
            return at if at.tzinfo is not None else None
    return None


class _Letters(dict[int, int | None]):
    """Keeps letters, marks and digits, drops what has no width, and turns the rest into blanks."""

    def __missing__(self, code: int) -> int | None:
        kind = unicodedata.category(chr(code))
        kept = code if kind[0] in "LMN" else None if kind == "Cf" else 0x20
        self[code] = kept
        return kept


_LETTERS = _Letters()


@lru_cache(maxsize=8192)
def plain(text: str | None) -> str:
    """A text without case, punctuation, markup and layout; the sign of a number stays."""
    if not text:
        return ""
    text = _TAG.sub(" ", html.unescape(text))
    text = _MINUS.sub(" minus ", unicodedata.normalize("NFKC", text))
    return " ".join(text.casefold().translate(_LETTERS).split())
