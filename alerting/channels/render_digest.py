"""Several alerts in one message: a line each, the most severe first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerting.channels import registry
from alerting.channels.base import Rendering
from alerting.channels.render import render
from alerting.channels.spec import Digest
from alerting.channels.text.content import Content, gather
from alerting.channels.text.texts import clip
from alerting.domain.alert import Alert

_TITLE_CHARS = 120


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
    """Lay out a digest for a channel; a single part is laid out as that alert.

    Each line says what, where and until when, in the citizen's language where the sender has it
    and by the citizen's clock. Raises BadInput for a channel that does not exist.
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
    digest = Digest(
        contents,
        clip(f"{contents[0].title()} (+{len(parts) - 1})", _TITLE_CHARS),
        first.link,
        lambda: [
            _read_by(c.text_language, p, time_zone) for c, p in zip(contents, parts, strict=True)
        ],
    )
    laid = registry.spec(channel).render_digest(digest)
    return Rendering(
        channel, contents[0].text_language, laid.subject, laid.text, laid.html, first.link
    )


def _read_by(language: str, part: Part, time_zone: str) -> Content:
    return gather(
        part.alert,
        info_no=part.info_no,
        area_no=part.area_no,
        language=language,
        link=part.link,
        time_zone=time_zone,
    )
