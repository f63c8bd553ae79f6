"""Turn an alert into what one channel says, in one language, for one area."""

from __future__ import annotations

from alerting.channels import registry
from alerting.channels.base import Rendering
from alerting.channels.text.content import Content, gather
from alerting.domain.alert import Alert


def render(
    alert: Alert,
    *,
    info_no: int,
    area_no: int,
    channel: str,
    language: str,
    link: str,
    still: bool = False,
    time_zone: str = "",
) -> Rendering:
    """Lay an alert out for a channel.

    The sender's texts come from the info; the words around them are the citizen's `language`,
    else the info's, else English. Anything but an Actual alert says before all else and after it
    that nothing need be done; the end of a danger says what it is first. `info_no` -1 renders what
    an alert without infos holds. No language, and nothing inside a text, makes it fail.

    still: the reader has another alert of the danger that goes on, and is told so.
    time_zone: the citizen's, in which times are written; "" where it is not known.

    language of the Rendering: that of the sender's texts.
    Raises BadInput for a channel that does not exist.
    """

    def read_by(language: str) -> Content:
        return gather(
            alert,
            info_no=info_no,
            area_no=area_no,
            language=language,
            link=link,
            still=still,
            time_zone=time_zone,
        )

    spec = registry.spec(channel)
    content = read_by(language)
    laid = spec.render(content, read_by)
    return Rendering(channel, content.text_language, laid.subject, laid.text, laid.html, link)
