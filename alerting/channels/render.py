"""Turn an alert into what one channel says, in one language, for one area."""

from __future__ import annotations

from functools import partial

from alerting.channels.base import Rendering
from alerting.channels.content import Content, gather
from alerting.channels.render_email import email_html, email_subject, email_text
from alerting.channels.render_sms import sms_text
from alerting.channels.texts import clip
from alerting.domain.alert import Alert
from alerting.errors import BadInput

#: Phones cut a notification's title at about this length.
PUSH_TITLE_CHARS = 60
PUSH_BODY_WORDS = 200


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
    """Lay an alert out for `channel`: "sms", "email" or "push".

    The sender's texts come from the info; the words around them are the citizen's `language`,
    else the info's, else English. Anything but an Actual alert says before all else and after it
    that nothing need be done; the end of a danger says what it is first. `info_no` -1 renders what
    an alert without infos holds. No language, and nothing inside a text, makes it fail.

    still: the reader has another alert of the danger that goes on, and is told so.
    time_zone: the citizen's, in which times are written; "" where it is not known.

    language of the Rendering: that of the sender's texts.
    Raises BadInput for a channel that does not exist.
    """
    read_by = partial(
        gather,
        alert,
        info_no=info_no,
        area_no=area_no,
        link=link,
        still=still,
        time_zone=time_zone,
    )
    content = read_by(language=language)
    match channel:
        case "sms":
            text = sms_text(content, read_by(language=content.text_language))
            subject, html = "", ""
        case "email":
            subject = email_subject(content)
            text, html = email_text(content), email_html(content)
        case "push":
            subject, text, html = _push_title(content), _push_text(content), ""
        case _:
            raise BadInput(f"There is no channel named {channel!r}: use sms, email or push.")
    return Rendering(channel, content.text_language, subject, text, html, link)


def _push_title(content: Content) -> str:
    return clip(content.title(), PUSH_TITLE_CHARS)


def _push_text(content: Content) -> str:
    """Source, location, guidance, time; the title has the hazard. A drill says once more at the
    end that it is one, and says less, so that no service cuts that off."""
    limit = PUSH_BODY_WORDS // 2 if content.drill else PUSH_BODY_WORDS
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
