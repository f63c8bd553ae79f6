"""One alert's line in a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alerting.channels.text.content import Content

from alerting.channels.text.texts import clip


def line(content: Content, most: int) -> str:
    """What, where and until when, in at most `most` characters and a drill's own words."""
    parts = [
        content.title(),
        "" if content.area_in_title else clip(content.area, 80),
        content.until_short,
    ]
    text = clip(". ".join(p.rstrip(".") for p in parts if p), most)
    return f"{text.rstrip('.')}. {content.no_action}" if content.drill else text
