"""Several alerts in one message: a line each, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from alerting.channels.base import Rendering
from alerting.channels.content import Content, gather
from alerting.channels.phrases import direction
from alerting.channels.render import PUSH_TITLE_CHARS, render
from alerting.channels.texts import LEAVE_MARK, clip
from alerting.domain.alert import Alert
from alerting.domain.segments import measure, plain, shorten

#: An SMS digest informs, it does not warn; it may not cost more than a warning.
MAX_SEGMENTS = 4
_LINE_CHARS = {"sms": 110, "push": 160, "email": 600}


@dataclass(frozen=True, slots=True)
class Part:
    """One alert of a digest as its citizen is concerned by it."""

    alert: Alert
    info_no: int
    area_no: int
    link: str


def render_digest(
    parts: Sequence[Part], *, channel: str, language: str, time_zone: str = ""
) -> Rendering:
    """Lay out a digest for "sms", "email" or "push"; a single part is laid out as that alert.

    Each line says what, where and until when, in the citizen's language where the sender has it
    and by the citizen's clock.
    """
    first = parts[0]
    if len(parts) == 1:
        return render(
            first.alert,
            info_no=first.info_no,
            area_no=first.area_no,
            channel=channel,
            language=language,
            link=first.link,
            time_zone=time_zone,
        )
    contents = [_read_by(language, p, time_zone) for p in parts]
    lines = [_line(c, _LINE_CHARS[channel]) for c in contents]
    title = clip(f"{contents[0].title()} (+{len(parts) - 1})", PUSH_TITLE_CHARS * 2)
    tag = contents[0].text_language
    if channel == "sms":
        text = _numbered(lines)
        if measure(text).encoding == "UCS-2" and not any(c.ours for c in contents):
            own = [
                _read_by(c.text_language, p, time_zone)
                for c, p in zip(contents, parts, strict=True)
            ]
            other = _numbered([_line(c, _LINE_CHARS[channel]) for c in own])
            text = other if measure(other).encoding == "GSM-7" else text
        return Rendering(channel, tag, "", shorten(text, first.link, MAX_SEGMENTS), "", first.link)
    if channel == "push":
        return Rendering(
            channel, tag, clip(title, PUSH_TITLE_CHARS), "\n".join(lines), "", first.link
        )
    text, html = _text(contents, lines), _html(contents, lines)
    return Rendering(channel, tag, title, text, html, first.link)


def _read_by(language: str, part: Part, time_zone: str) -> Content:
    return gather(
        part.alert,
        info_no=part.info_no,
        area_no=part.area_no,
        language=language,
        link=part.link,
        time_zone=time_zone,
    )


def _numbered(lines: Sequence[str]) -> str:
    return plain(" / ".join(f"{n}) {line}" for n, line in enumerate(lines, 1)))


def _line(content: Content, most: int) -> str:
    parts = [
        content.title(),
        "" if content.area_in_title else clip(content.area, 80),
        content.until_short,
    ]
    line = clip(". ".join(p.rstrip(".") for p in parts if p), most)
    return f"{line.rstrip('.')}. {content.no_action}" if content.drill else line


def _text(contents: Sequence[Content], lines: Sequence[str]) -> str:
    words = contents[0].words
    blocks = [
        "\n".join(part for part in (line, content.guidance, content.link) if part)
        for content, line in zip(contents, lines, strict=True)
    ]
    leave = f"{words.leave}{words.colon.rstrip()}\n{LEAVE_MARK}"
    return "\n\n".join([*blocks, leave]) + "\n"


def _html(contents: Sequence[Content], lines: Sequence[str]) -> str:
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
