"""What there is to say about an alert, gathered once and then laid out per channel.

The five things people need before they act (source, hazard, location, guidance, time) are picked
here; which of them fit, and where, is each layout's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alerting.channels.text import local_times
from alerting.channels.text.phrases import Phrases, phrases
from alerting.channels.text.sentences import danger_first
from alerting.channels.text.texts import clean, one_line
from alerting.domain.alert import Alert, Area, Info, MsgType, ResponseType, Status
from alerting.domain.info_selection import info_for
from alerting.domain.language import primary, well_formed
from alerting.domain.notice import Notice, notice_in

#: Alerts naming more areas than this list the rest behind the link.
MAX_AREAS = 40


@dataclass(frozen=True, slots=True)
class Content:
    """Clean texts of one info for one area, with the words for the citizen.

    words: the frame words; `locale` is the tag times are written in. zone: the citizen's own, None
        where it is not known: then times are the sender's.
    over: it says that the danger is over, or never was.
    drill: the word of an alert that is not real, else "". `drill_note` is its sentence.
    kind: what a later version does (cancelled, all clear, updated); "" for a first alert.
    still: the sentence that another alert of the danger is in force, else "".
    headline: one line; never empty. `sender`, `area` likewise are one line but may be empty.
    text_language: the language of the sender's texts.
    """

    words: Phrases
    locale: str
    zone: ZoneInfo | None
    text_language: str
    over: bool
    drill: str
    drill_note: str
    kind: str
    still: str
    sender: str
    headline: str
    area: str
    areas: tuple[str, ...]
    description: str
    instruction: str
    sent: datetime
    since: datetime | None
    until: datetime | None
    contact: str
    web: str
    link: str

    @property
    def guidance(self) -> str:
        """What to do, else what is known, for a message that may be cut at its end."""
        return danger_first(self.instruction, self.description)

    @property
    def until_short(self) -> str:
        """`Valid until 18:00`; empty where nobody says when."""
        if self.until is None:
            return ""
        time = local_times.short(self.until, self.locale, seen_from=self.sent, zone=self.zone)
        return self.words.until.format(time=time)

    def full_time(self, phrase: str, at: datetime) -> str:
        """A phrase with its time in full."""
        return phrase.format(time=local_times.full(at, self.locale, zone=self.zone))

    @property
    def sender_in_title(self) -> bool:
        """True where the headline names the sender already; saying it twice costs room."""
        return self.sender.casefold() in self.headline.casefold()

    @property
    def area_in_title(self) -> bool:
        return self.area.casefold() in self.headline.casefold()

    @property
    def ours(self) -> bool:
        """True where it says a sentence of ours, or that something is over: that is said in the
        citizen's language, whatever room it takes."""
        return bool(self.drill or self.still) or self.over

    @property
    def says_itself(self) -> bool:
        """True where the headline begins with the word for what the message is."""
        return any(word and leads(word, self.headline) for word in (self.drill, self.kind))

    @property
    def no_action(self) -> str:
        """`EXERCISE (no action needed)`: the first and the last words of a drill; else ""."""
        return f"{self.drill} ({self.words.no_action})" if self.drill else ""

    def heading(self, headline: str | None = None) -> str:
        """`Cancelled: Flood`: what a later version does, before what it says."""
        heading = self.headline if headline is None else headline
        if self.kind and not leads(self.kind, heading):
            return f"{self.kind}{self.words.colon}{heading}"
        return heading

    def title(self, headline: str | None = None) -> str:
        """`EXERCISE (no action needed): Cancelled: Flood`: before all that it is not real."""
        title = self.heading(headline)
        if not self.drill:
            return title
        if leads(self.drill, title):
            title = title[len(self.drill) :].lstrip(" :,.!-–—")
        return f"{self.no_action}{self.words.colon}{title}" if title else self.no_action


def gather(
    alert: Alert,
    *,
    info_no: int,
    area_no: int,
    language: str,
    link: str,
    still: bool = False,
    time_zone: str = "",
) -> Content:
    """Collect what to say about `alert` to a reader of `language` in `time_zone`.

    info_no -1, or one that is not there: the alert's own note and the frame words serve.
    area_no -1, or an area without a description: every area of the info.
    still: another alert of the danger that this ends is in force for the reader.
    time_zone: "" where it is not known.
    """
    info = info_for(alert, info_no)
    text_language = info.language if info else language
    words = phrases(language, text_language)
    understood = primary(language) == primary(words.language)
    drill, drill_note = drill_words(alert.status, words)
    own = () if info is None or area_no < 0 else info.areas[area_no : area_no + 1]
    areas = _area_texts((*own, *info.areas) if info else ())
    description, instruction = _texts(alert, info, words)
    over = alert.msg_type is MsgType.CANCEL or (info is not None and alert.ends_in(info))
    sender = one_line(info.sender_name if info else None) or one_line(alert.sender)
    headline = _headline(alert, info, words) or sender
    return Content(
        words=words,
        locale=language if understood else words.language,
        zone=local_times.zone_of(time_zone),
        text_language=text_language if well_formed(text_language) else words.language,
        over=over,
        drill=drill,
        drill_note=drill_note,
        kind=_kind(alert, info, words),
        still=words.still if still else "",
        sender=sender,
        headline=headline,
        area=(one_line(own[0].area_desc) if own else "") or ", ".join(areas),
        areas=areas,
        description=description,
        instruction=instruction,
        sent=alert.sent,
        # A time already past when the alert was sent tells a reader nothing.
        since=info.onset if info and info.onset and info.onset > alert.sent and not over else None,
        until=info.until if info and info.until and info.until > alert.sent and not over else None,
        contact=one_line(info.contact if info else None),
        web=one_line(info.web if info else None),
        link=link,
    )


def drill_words(status: Status, words: Phrases) -> tuple[str, str]:
    """Whatever is not Actual says so; System and Draft are for nobody and pass as tests."""
    if status is Status.ACTUAL:
        return "", ""
    if status is Status.EXERCISE:
        return words.exercise, words.exercise_note
    return words.test, words.test_note


def _kind(alert: Alert, info: Info | None, words: Phrases) -> str:
    if info is not None and notice_in(alert, info) is Notice.FALSE_ALARM:
        return f"{words.cancelled} ({words.false_alarm})"
    if alert.msg_type is MsgType.CANCEL:
        return words.cancelled
    if info is not None and ResponseType.ALL_CLEAR in info.response_types:
        return words.all_clear
    if info is not None and alert.ends_in(info):
        return words.ended
    return words.updated if alert.msg_type is MsgType.UPDATE else ""


def _headline(alert: Alert, info: Info | None, words: Phrases) -> str:
    if info is not None and notice_in(alert, info):
        return one_line(info.event)
    if info is not None:
        return one_line(info.headline) or one_line(info.event)
    # Without an info the note is the text; it is not said twice, so the title has the frame words.
    return words.cancel_note if alert.msg_type is MsgType.CANCEL else one_line(alert.note)


def _texts(alert: Alert, info: Info | None, words: Phrases) -> tuple[str, str]:
    """The description and the instruction.

    A Cancel often comes with the texts of the alert it ends. Its instruction would send people
    back into what is over ("evacuate now"), so it counts only where the info itself says the
    danger has passed.
    """
    note = clean(alert.note)
    if info is not None and (notice := notice_in(alert, info)):
        false_alarm = notice is Notice.FALSE_ALARM
        sentence = words.false_alarm_note if false_alarm else words.cancel_note
        return f"{sentence} {note}".strip(), ""
    if alert.msg_type is MsgType.CANCEL and (info is None or not info.ends_danger):
        return note or ("" if info is None else words.cancel_note), ""
    if info is None:
        return note, ""
    return clean(info.description), clean(info.instruction)


def _area_texts(areas: Sequence[Area]) -> tuple[str, ...]:
    """Descriptions of the areas in order, each once."""
    unique: dict[str, None] = {}
    for area in areas:
        if text := one_line(area.area_desc):
            unique[text] = None
        if len(unique) > MAX_AREAS:
            return (*list(unique)[:MAX_AREAS], "…")
    return tuple(unique)


def leads(word: str, title: str) -> bool:
    """True where a text begins with this word, in whatever case."""
    head, rest = title[: len(word)], title[len(word) :]
    return head.casefold() == word.casefold() and not rest[:1].isalnum()
