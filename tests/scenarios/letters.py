"""What a saying is as a document, and what a message that arrived says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from html import escape

from scene import AREAS, HAZARDS, Klass, Ref, Say

from alerting.cap import to_xml
from alerting.channels.base import Outgoing
from alerting.channels.text.phrases import phrases
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    Polygon,
    Reference,
    ResponseType,
    Severity,
    Urgency,
)
from alerting.domain.links import CODE

#: Stands in every text that is not for the public.
_CLOSED = " (closed)"

_WORDS = (
    "Measured at the old bridge.",
    "The gauge at the mill shows more.",
    "Crews have seen it spread westwards.",
    "Reported by the harbour office.",
)
_DO = (
    ("Stay inside.", ResponseType.SHELTER),
    ("Leave at once.", ResponseType.EVACUATE),
    ("Go to the upper floor.", ResponseType.SHELTER),
)
_OVER = {"past": Urgency.PAST, "clear": Urgency.PAST, "at-issue": Urgency.IMMEDIATE}

_EN = phrases("en")
_DRILL = {_EN.exercise: Klass.EXERCISE, _EN.test: Klass.TEST}
_SPEAKS = re.compile(f"({'|'.join(HAZARDS)})({re.escape(_CLOSED)})?")
_LINK = re.compile(rf"https?://\S*/({CODE})\b")


def write(say: Say, sent: datetime, named: Mapping[int, Reference]) -> bytes:
    """The document, with its references as they were written, right or wrong.

    named: the true names of all sayings so far, this one included.
    """
    alert = Alert(
        identifier=named[say.no].identifier,
        sender=named[say.no].sender,
        sent=sent,
        status=say.status,
        msg_type=say.kind,
        scope=say.scope,
        addresses=say.addresses if say.closed else (),
        restriction="Members only." if say.scope == "Restricted" else None,
        infos=(_info(say, sent),),
    )
    written = " ".join(filter(None, (_reference(r, named[r.to]) for r in say.refs)))
    data = to_xml(alert)
    if written:
        element = f"<references>{escape(written)}</references><info>".encode()
        assert b"<info>" in data
        data = data.replace(b"<info>", element, 1)
    return data


def _info(say: Say, sent: datetime) -> Info:
    event = say.hazard + _CLOSED * say.closed
    instruction, response = _DO[say.do]
    info = Info(
        categories=(Category.OTHER,),
        event=event,
        urgency=Urgency.IMMEDIATE,
        severity=say.severity,
        certainty=Certainty.OBSERVED,
        language="en",
        response_types=(response,),
        expires=sent + timedelta(hours=say.hours),
        headline=f"{event}: take care",
        description=_WORDS[say.words],
        instruction=instruction,
        areas=_areas(say.areas),
    )
    if not say.ends:
        return info
    cleared = (ResponseType.ALL_CLEAR,) if say.over == "clear" else (ResponseType.MONITOR,)
    return Info(
        categories=info.categories,
        event=event,
        urgency=_OVER.get(say.over, Urgency.IMMEDIATE),
        severity=Severity.MINOR,
        certainty=info.certainty,
        language="en",
        response_types=cleared,
        expires=sent if say.over == "at-issue" else sent + timedelta(hours=3),
        headline=f"{event}: warning changed",
        areas=info.areas,
    )


def _areas(letters: str) -> tuple[Area, ...]:
    if letters == "*":
        return (Area("Out at sea", circles=(Circle(10.0, -30.0, 0.0),)),)
    return tuple(Area(f"District {a}", polygons=(_box(AREAS[a]),)) for a in letters)


def _box(west: float) -> Polygon:
    east = west + 1.0
    return Polygon(((50.0, west), (51.0, west), (51.0, east), (50.0, east), (50.0, west)))


def _reference(ref: Ref, name: Reference) -> str:
    """One reference as it was typed; "" where nothing was."""
    sender, identifier, sent = name.sender, name.identifier, name.sent
    match ref.how:
        case "lost":
            return ""
        case "bare":
            return identifier
        case "minutes":
            return f"{sender},{identifier},{sent:%Y-%m-%dT%H:%M}-00:00"
        case "second":
            sent += timedelta(seconds=1)
        case "offset":
            sent = sent.replace(tzinfo=timezone(timedelta(hours=7)))
        case "case":
            sender = sender.title()
    comma = ", " if ref.how == "blank" else ","
    return comma.join((sender, identifier, sent.isoformat()))


@dataclass(frozen=True)
class Handed:
    """What a carrier was handed. text: without links. code: what names the alert
    in the link.

    silent: to be shown without a sound.
    """

    channel: str
    endpoint: str
    at: datetime
    text: str
    silent: bool
    code: str
    over: bool
    hazard: str
    klass: Klass

    @property
    def danger(self) -> tuple[str, Klass]:
        return self.hazard, self.klass


def says_over(title: str, language: str = "en") -> bool:
    """True where a title says that a danger is over; its source may stand before the word.

    Not where it says that another alert of it is in force: then the danger goes on.
    """
    words = phrases(language)
    if words.still in title:
        return False
    ends = "|".join((words.cancelled, words.all_clear, words.ended))
    return re.match(rf"([^:]{{1,60}}: )?({ends})\b", title) is not None


def read(message: Outgoing, channel: str, at: datetime) -> Handed:
    """Understand a message by its text alone, as whoever receives it would."""
    rendering = message.rendering
    whole = "\n".join(filter(None, (rendering.subject, rendering.text)))
    start, drill = whole, None
    for word, klass in _DRILL.items():
        lead = f"{word} ({_EN.no_action})"
        if whole.startswith(lead):
            drill, start = klass, whole[len(lead) :].lstrip(": ")
    speaks = _SPEAKS.search(whole)
    assert speaks, f"what is this about? {whole}"
    link = _LINK.search(whole) or _LINK.search(rendering.link)
    return Handed(
        channel,
        message.endpoint,
        at,
        _LINK.sub("", whole),
        message.silent,
        link[1] if link else "",
        says_over(start),
        speaks[1],
        drill or (Klass.PRIVATE if speaks[2] else Klass.PUBLIC),
    )
