"""An alert as one SMS: drill word, source, hazard, location, guidance, time, link."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from alerting.channels.spec import Digest, Layout, ReadBy
from alerting.channels.text.digest_line import line as digest_line
from alerting.channels.text.sentences import blocks, closed, plain_sentences
from alerting.channels.text.texts import clip, fold
from alerting.domain.segments import measure, plain, shorten

if TYPE_CHECKING:
    from alerting.channels.text.content import Content

# A complete warning fits 231 characters (Sutton and others, doi 10.1007/s10694-020-01008-7); the
# link holds the rest. Every segment more divides the provider's rate, and so delays the last
# citizen. Scripts outside GSM-7 get 67 characters a segment, hence one segment more.
MAX_SEGMENTS = {"GSM-7": 3, "UCS-2": 4}

#: A digest informs, it does not warn; it may not cost more than a warning.
_DIGEST_SEGMENTS = 4
_DIGEST_LINE_CHARS = 110

#: No SMS holds as many characters, whatever they are typeset as.
_MOST_CHARS = 2 * MAX_SEGMENTS["GSM-7"] * 160

#: At least this much guidance is worth shortening a long headline or area for.
_GUIDANCE_CHARS = 60


@dataclass(frozen=True, slots=True)
class _Room:
    """Most characters of each part, from roomy to narrow."""

    headline: int
    area: int
    sender: int


_ROOMS = (_Room(160, 80, 50), _Room(100, 50, 40), _Room(70, 40, 0), _Room(50, 0, 0))


def sms_layout(content: Content, read_by: ReadBy) -> Layout:
    """One alert's SMS; see `sms_text`."""
    return Layout("", sms_text(content, read_by(content.text_language)))


def sms_digest(digest: Digest) -> Layout:
    """Several alerts' SMS, numbered, in as many segments as a warning."""
    text = _numbered(digest.contents)
    if measure(text).encoding == "UCS-2" and not any(c.ours for c in digest.contents):
        other = _numbered(digest.in_text_languages())
        text = other if measure(other).encoding == "GSM-7" else text
    return Layout("", shorten(text, digest.link, _DIGEST_SEGMENTS))


def _numbered(contents: Sequence[Content]) -> str:
    lines = [digest_line(c, _DIGEST_LINE_CHARS) for c in contents]
    return plain(" / ".join(f"{n}) {text}" for n, text in enumerate(lines, 1)))


def sms_text(content: Content, in_its_language: Content) -> str:
    """One line of at most MAX_SEGMENTS, the link whole at its end; behind it a drill says once
    more that nothing need be done.

    in_its_language: the same with the frame words in the language of the sender's texts. They
    serve where the citizen's would take the whole out of GSM-7 or have guidance cut, unless there
    is a sentence of ours in it.

    Typography becomes its GSM-7 look-alike, and our own words lose their accents, only where
    that makes the whole text GSM-7: otherwise it would gain nothing.
    """
    text = _laid_out(content)
    if content.ours or content.words == in_its_language.words:
        return text.line
    other = _laid_out(in_its_language)
    saves_gsm = _is_gsm(other.line) and not _is_gsm(text.line)
    return other.line if saves_gsm or (text.cut and not other.cut) else text.line


@dataclass(frozen=True, slots=True)
class _Laid:
    """A whole message. cut: some of what there was to say is missing."""

    line: str
    cut: bool


def _laid_out(content: Content) -> _Laid:
    guidance = " ".join(closed(b, content.text_language) for b in blocks(content.guidance))
    for room in _ROOMS:
        if _fits(_compose(content, room, clip(guidance, _GUIDANCE_CHARS))):
            compose = partial(_compose, content, room)
            # Of what is far too long nobody counts every letter.
            if len(guidance) <= _MOST_CHARS and _fits(compose(guidance)):
                return _Laid(_with_impact(content, compose, guidance), room is not _ROOMS[0])
            return _Laid(_longest(guidance, compose), True)
    end = " ".join(filter(None, (content.link, closed(content.no_action, content.words.language))))
    if _fits(end):
        line = _longest(content.title(), lambda start: _typeset(f"{start} {end}".strip()))
    else:
        line = _longest(content.title(), _typeset)
    return _Laid(line, True)


def _with_impact(content: Content, compose: Callable[[str], str], guidance: str) -> str:
    """Behind an instruction the first sentences of the description that cost no segment more. Of
    what is over nothing is said but that."""
    line = compose(guidance)
    if content.over or not content.instruction:
        return line
    size, said = measure(line), f"{content.headline} {guidance}".casefold()
    for sentence in plain_sentences(content.description):
        if sentence.casefold().rstrip(".") in said:
            continue
        guidance = f"{guidance} {closed(sentence, content.text_language)}"
        longer = compose(guidance)
        if measure(longer).encoding != size.encoding or measure(longer).count > size.count:
            break
        line = longer
    return line


def _longest(text: str, compose: Callable[[str], str]) -> str:
    """What `compose` makes of the longest beginning of `text` that still fits."""
    if len(text) <= _MOST_CHARS and _fits(whole := compose(text)):
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
    if _is_gsm(typeset):
        return typeset
    for sentence in (content.words.cancel_note, content.words.false_alarm_note):
        guidance = guidance.replace(sentence, fold(sentence))
    folded = _typeset(_line(_folded(content), room, guidance))
    return folded if _is_gsm(folded) else text


def _line(content: Content, room: _Room, guidance: str) -> str:
    headline = clip(content.headline, room.headline)
    if room.sender and not content.sender_in_title:
        sender = clip(content.sender, room.sender)
        headline = (
            f"{headline} ({sender})"
            if content.says_itself
            else f"{sender}{content.words.colon}{headline}"
        )
    area = "" if content.area_in_title else clip(content.area, room.area)
    theirs, ours = content.text_language, content.words.language
    parts = [
        closed(content.title(headline), theirs),
        content.still,
        *(closed(part, theirs) for part in (area, guidance)),
        closed(content.until_short, ours),
        f"{content.words.more}{content.words.colon}{content.link}" if content.link else "",
        closed(content.no_action, ours),
    ]
    return " ".join(filter(None, parts))


def _folded(content: Content) -> Content:
    words = content.words
    return replace(
        content,
        words=replace(
            words,
            more=fold(words.more),
            until=fold(words.until),
            no_action=fold(words.no_action),
        ),
        drill=fold(content.drill),
        kind=fold(content.kind),
        still=fold(content.still),
    )


def _typeset(text: str) -> str:
    """Look-alikes for typography where the rest is GSM-7; else the text as it is."""
    candidate = plain(text)
    return candidate if _is_gsm(candidate) else text


def _is_gsm(text: str) -> bool:
    return measure(text).encoding == "GSM-7"


def _fits(text: str) -> bool:
    size = measure(text)
    return size.count <= MAX_SEGMENTS[size.encoding]
