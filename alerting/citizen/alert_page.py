"""The page of one alert, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jinja2 import Environment, PackageLoader

from alerting.channels.text.content import Content, gather
from alerting.channels.text.phrases import direction, phrases
from alerting.channels.text.texts import paragraphs
from alerting.citizen.words import Words, words_for
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.language import best_language

pages = Environment(loader=PackageLoader("alerting.citizen"), autoescape=True, trim_blocks=True)
pages.filters["paragraphs"] = paragraphs
pages.filters["direction"] = direction

#: The banner above an alert that is not in force: in the reader's language where the public sees
#: it, else in English.
_BANNERS = {
    AlertState.HELD: "This alert has not been released. Nobody has been warned by it.",
    AlertState.RECORDED: "This is kept for the record. It is not sent to anybody.",
}
_PUBLIC_BANNERS: dict[AlertState, Callable[[Words], str]] = {
    AlertState.CANCELLED: lambda words: words.cancelled,
    AlertState.SUPERSEDED: lambda words: words.superseded,
    AlertState.EXPIRED: lambda words: words.expired,
}

_CLOSED = "This alert is for a closed group of people, not for the public."


class Banner(NamedTuple):
    """A sentence above an alert, and its language."""

    language: str
    text: str


class Reading(NamedTuple):
    """The languages of a page.

    Attributes:
        language: Of the alert's texts.
        words: Of everything around them; a language of the alert or one of our own.
    """

    language: str
    words: str


def reading(document: Alert, wanted: str) -> Reading:
    """The best choice for a reader of `wanted`, which may be any text: one of a few."""
    language = best_language(_languages(document), wanted) or "en"
    words = phrases(wanted, language)
    return Reading(language, language if phrases(language) == words else words.language)


def alert_page(document: Alert, state: AlertState, *, reading: Reading, path: str) -> str:
    """Render the page for these languages.

    The reader's location is unknown, so times are the sender's, with their offset.

    Args:
        path: Of the page, for its links to other languages.
    """
    languages, (language, words) = _languages(document), reading
    shown = [
        (_content(document, number, words), info)
        for number, info in enumerate(document.infos)
        if info.language == language
    ]
    first = shown[0][0] if shown else _content(document, -1, words)
    banners = []
    if not document.is_drill and not document.for_public:
        banners.append(Banner("en", _CLOSED))
    if state in _BANNERS:
        banners.append(Banner("en", _BANNERS[state]))
    elif state in _PUBLIC_BANNERS:
        ours = words_for(first.words.language)
        banners.append(Banner(ours.language, _PUBLIC_BANNERS[state](ours)))
    return pages.get_template("alert.html").render(
        language=language,
        direction=direction(language),
        languages=languages,
        first=first,
        words=first.words,
        words_direction=direction(first.words.language),
        shown=shown or [(first, None)],
        banners=banners,
        path=path,
    )


def _languages(document: Alert) -> list[str]:
    return list(dict.fromkeys(i.language for i in document.infos))


def _content(document: Alert, info_no: int, language: str) -> Content:
    return gather(document, info_no=info_no, area_no=-1, language=language, link="")
