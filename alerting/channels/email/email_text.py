"""An alert as a mail: subject, plain text and an accessible page without outside resources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

import jinja2

from alerting.channels.spec import Digest, Layout, ReadBy
from alerting.channels.text.digest_line import line
from alerting.channels.text.phrases import direction
from alerting.channels.text.texts import LEAVE_MARK, clip, paragraphs

if TYPE_CHECKING:
    from alerting.channels.text.content import Content

#: Longer subjects are cut by every mail program anyway.
SUBJECT_CHARS = 150

_DIGEST_LINE_CHARS = 600

_WEB = re.compile(r"https?://[^\s<>\"']+", re.I)


def email_layout(content: Content, read_by: ReadBy) -> Layout:
    """One alert's mail."""
    return Layout(email_subject(content), email_text(content), email_html(content))


def email_digest(digest: Digest) -> Layout:
    """Several alerts' mail, a block each."""
    lines = [line(c, _DIGEST_LINE_CHARS) for c in digest.contents]
    text, html = _digest_text(digest.contents, lines), _digest_html(digest.contents, lines)
    return Layout(digest.title, text, html)


def email_subject(content: Content) -> str:
    return clip(content.title(), SUBJECT_CHARS)


def email_text(content: Content) -> str:
    """The plain text; LEAVE_MARK stands alone on its line for the citizen's own link."""
    words = content.words
    drill = f"{content.drill} – {content.drill_note}" if content.drill else ""
    facts = "\n".join(f"{label}{words.colon}{t}" if label else t for label, t in _facts(content))
    instruction = f"{words.what_to_do}{words.colon.rstrip()}\n{content.instruction}"
    more = f"{words.full_alert}{words.colon}{content.link}"
    parts = [
        drill,
        content.title(),
        content.still,
        "\n".join(_provenance(content)),
        facts,
        content.description,
        instruction if content.instruction else "",
        more if content.link else "",
        f"{words.leave}{words.colon.rstrip()}\n{LEAVE_MARK}",
        # Once more at the end, for whoever reads only that.
        drill,
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def email_html(content: Content) -> str:
    """The same as a page; LEAVE_MARK is an `href`. Every text is escaped."""
    text_direction = direction(content.text_language)
    return _template().render(
        words=content.words,
        content=content,
        title=content.title(),
        provenance=_provenance(content),
        facts=[(label, text, _href(text)) for label, text in _facts(content)],
        description=paragraphs(content.description),
        instruction=paragraphs(content.instruction),
        page_direction=direction(content.words.language),
        # Senders leave `language` at its default (en-US) for any script, so only a language
        # known to run from the right is trusted; the rest is told from the letters.
        text_direction="rtl" if text_direction == "rtl" else "auto",
        leave_mark=LEAVE_MARK,
    )


def _digest_text(contents: Sequence[Content], lines: Sequence[str]) -> str:
    words = contents[0].words
    blocks = [
        "\n".join(part for part in (line, content.guidance, content.link) if part)
        for content, line in zip(contents, lines, strict=True)
    ]
    leave = f"{words.leave}{words.colon.rstrip()}\n{LEAVE_MARK}"
    return "\n\n".join([*blocks, leave]) + "\n"


def _digest_html(contents: Sequence[Content], lines: Sequence[str]) -> str:
    words = contents[0].words
    rows = "".join(
        f'<li dir="auto"><p><a href="{escape(content.link, quote=True)}">{escape(line)}</a></p>'
        f"<p>{escape(content.guidance)}</p></li>"
        for content, line in zip(contents, lines, strict=True)
    )
    return (
        f'<!doctype html><html lang="{words.language}" dir="{direction(words.language)}">'
        f'<head><meta charset="utf-8"><title>{escape(lines[0])}</title></head>'
        f'<body><ol>{rows}</ol><p><a href="{LEAVE_MARK}">{escape(words.leave)}</a></p>'
        "</body></html>"
    )


def _provenance(content: Content) -> list[str]:
    words = content.words
    lines = [words.issued_by.format(sender=content.sender)] if content.sender else []
    return [*lines, content.full_time(words.sent, content.sent)]


def _facts(content: Content) -> list[tuple[str, str]]:
    """Lines with their labels. A time's label is part of its phrase, so there it is empty."""
    words = content.words
    facts = [(words.where, ", ".join(content.areas))]
    for phrase, at in ((words.since, content.since), (words.until, content.until)):
        if at is not None:
            facts.append(("", content.full_time(phrase, at)))
    facts += [(words.contact, content.contact), (words.website, content.web)]
    return [(label, text) for label, text in facts if text]


def _href(text: str) -> str:
    return text if _WEB.fullmatch(text) else ""


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("alerting.channels.email"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("alert_mail.html")
