"""An alert as one SMS: drill word, source, hazard, location, guidance, time, link."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from alerting.channels.content import Content
from alerting.channels.texts import clip, fold
from alerting.domain.language import primary
from alerting.domain.segments import measure, plain

# A complete warning fits 231 characters (Sutton and others, doi 10.1007/s10694-020-01008-7); the
# link holds the rest. Every segment more divides the provider's rate, and so delays the last
# citizen. Scripts outside GSM-7 get 67 characters a segment, hence one segment more.
MAX_SEGMENTS = {"GSM-7": 3, "UCS-2": 4}

#: At least this much guidance is worth shortening a long headline or area for.
_GUIDANCE_CHARS = 60

_STOPS = {"ja": "。", "zh": "。", "hi": "।"}
_CLOSERS = ")]\"'”’»"
_SENTENCE_ENDS = frozenset(".!?…。！？।؟:")


@dataclass(frozen=True, slots=True)
class _Room:
    """Most characters of each part, from roomy to narrow."""

    headline: int
    area: int
    sender: int


_ROOMS = (_Room(160, 80, 50), _Room(100, 50, 40), _Room(70, 40, 0), _Room(50, 0, 0))


def sms_text(content: Content) -> str:
    """One line of at most MAX_SEGMENTS, the link whole at its end.

    Typography becomes its GSM-7 look-alike, and our own words lose their accents, only where
    that makes the whole text GSM-7: otherwise it would gain nothing.
    """
    guidance = " ".join(content.guidance.split())
    for room in _ROOMS:
        if _fits(_compose(content, room, clip(guidance, _GUIDANCE_CHARS))):
            return _longest(guidance, partial(_compose, content, room))
    title, link = content.title(), content.link
    if _fits(link):
        return _longest(title, lambda start: _typeset(f"{start} {link}".strip()))
    return _longest(title, _typeset)


def _longest(text: str, compose: Callable[[str], str]) -> str:
    """What `compose` makes of the longest beginning of `text` that still fits."""
    whole = compose(text)
    if _fits(whole):
        return whole
    # No more characters than this fit in any encoding. A longer beginning never takes less room,
    # nor, by a letter outside GSM-7, gets more.
    lengths = range(1, min(len(text), MAX_SEGMENTS["GSM-7"] * 160))
    end = bisect_left(lengths, True, key=lambda n: not _fits(compose(clip(text, n))))
    return compose(clip(text, end))


def _compose(content: Content, room: _Room, guidance: str) -> str:
    """The whole line, as the phone will show it."""
    text = _line(content, room, guidance)
    typeset = _typeset(text)
    if measure(typeset).encoding == "GSM-7":
        return typeset
    folded = _typeset(_line(_folded(content), room, guidance))
    return folded if measure(folded).encoding == "GSM-7" else text


def _line(content: Content, room: _Room, guidance: str) -> str:
    headline = clip(content.headline, room.headline)
    if room.sender and not content.sender_in_title:
        headline = f"{clip(content.sender, room.sender)}{content.words.colon}{headline}"
    area = "" if content.area_in_title else clip(content.area, room.area)
    theirs, ours = content.text_language, content.words.language
    parts = [
        _sentence(content.title(headline), theirs),
        content.still,
        *(_sentence(part, theirs) for part in (area, guidance)),
        _sentence(content.until_short, ours),
        f"{content.words.more}{content.words.colon}{content.link}" if content.link else "",
    ]
    return " ".join(filter(None, parts))


def _sentence(text: str, language: str) -> str:
    if not text or text.rstrip(_CLOSERS)[-1:] in _SENTENCE_ENDS:
        return text
    return text + _STOPS.get(primary(language), ".")


def _folded(content: Content) -> Content:
    words = content.words
    return replace(
        content,
        words=replace(words, more=fold(words.more), until=fold(words.until)),
        drill=fold(content.drill),
        kind=fold(content.kind),
        still=fold(content.still),
    )


def _typeset(text: str) -> str:
    """Look-alikes for typography where the rest is GSM-7; else the text as it is."""
    candidate = plain(text)
    return candidate if measure(candidate).encoding == "GSM-7" else text


def _fits(text: str) -> bool:
    size = measure(text)
    return size.count <= MAX_SEGMENTS[size.encoding]
