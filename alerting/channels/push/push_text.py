"""An alert as a notification: a title with the hazard, and a few lines below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerting.channels.spec import Digest, Layout, ReadBy
from alerting.channels.text.digest_line import line
from alerting.channels.text.texts import clip

if TYPE_CHECKING:
    from alerting.channels.text.content import Content

#: Phones cut a notification's title at about this length.
TITLE_CHARS = 60
BODY_WORDS = 200

_DIGEST_LINE_CHARS = 160


def push_layout(content: Content, read_by: ReadBy) -> Layout:
    """One alert's notification."""
    return Layout(clip(content.title(), TITLE_CHARS), _text(content))


def push_digest(digest: Digest) -> Layout:
    """Several alerts' notification, a line each."""
    lines = [line(c, _DIGEST_LINE_CHARS) for c in digest.contents]
    return Layout(clip(digest.title, TITLE_CHARS), "\n".join(lines))


def _text(content: Content) -> str:
    """Source, location, guidance, time; the title has the hazard. A drill says once more at the
    end that it is one, and says less, so that no service cuts that off."""
    limit = BODY_WORDS // 2 if content.drill else BODY_WORDS
    parts = [
        content.still,
        "" if content.sender_in_title else content.sender,
        "" if content.area_in_title else clip(content.area, 160),
        _first_words(content.guidance, limit),
        content.until_short,
    ]
    # A notification with an empty body is not shown by every phone.
    text = "\n".join(p for p in parts if p) or content.headline
    return f"{text}\n{content.drill_note}" if content.drill else text


def _first_words(text: str, limit: int) -> str:
    """The first words, also bounded in characters for scripts that write none."""
    words = text.split(" ")
    text = text if len(words) <= limit else " ".join(words[:limit]).rstrip(" ,;:.") + "…"
    return clip(text, limit * 8)
