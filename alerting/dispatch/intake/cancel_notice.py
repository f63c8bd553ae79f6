"""Notice: the Cancel that ends a thread, made from what it ends. A function of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alerting.channels.text.phrases import phrases
from alerting.channels.text.texts import clean
from alerting.domain.alert import (
    Alert,
    Area,
    Certainty,
    Info,
    MsgType,
    ResponseType,
    Urgency,
)
from alerting.domain.notice import Notice


def notice_of(
    versions: Sequence[Alert], *, now: datetime, reason: str, false_alarm: bool, valid_s: float
) -> Alert:
    """The Cancel of a thread's live versions, which come oldest first, in every language they have.

    It bears the newest one's name, codes and participants. Its texts repeat nothing of what
    the alerts told people to do, and a parameter says that they are ours: citizens read them in
    their own languages.

    reason: the coordinator's words; they follow ours in every language. valid_s: for how many
    seconds it is worth telling.
    """
    newest = versions[-1]
    # Others order alerts by `sent`, in whole seconds; a clock that was far ahead is not followed.
    sent = min(max(now, newest.sent + timedelta(seconds=1)), now + timedelta(minutes=1))
    sent = sent.astimezone(newest.sent.tzinfo).replace(microsecond=0)
    expires = sent + timedelta(seconds=int(valid_s))
    infos = [info for v in reversed(versions) for info in v.infos]
    by_language: dict[str, list[Info]] = {}
    for info in infos:
        by_language.setdefault(info.language.casefold(), []).append(info)
    return replace(
        newest,
        identifier=f"{newest.identifier}-cancel-{sent:%Y%m%dT%H%M%S}",
        sent=sent,
        msg_type=MsgType.CANCEL,
        note=clean(reason) or None,
        references=tuple(v.triple for v in versions),
        infos=tuple(
            _info(same, reason=clean(reason), false_alarm=false_alarm, expires=expires)
            for same in by_language.values()
        ),
        repairs=(),
        remarks=(),
    )


def _info(same: Sequence[Info], *, reason: str, false_alarm: bool, expires: datetime) -> Info:
    """One language's text. The gravest info lends what names the event."""
    first = min(same, key=lambda i: i.severity.rank)
    words = phrases(first.language)
    headline, sentence, notice = first.event, words.cancel_note, Notice.CANCELLED
    if false_alarm:
        notice = Notice.FALSE_ALARM
        headline = f"{words.cancelled} ({words.false_alarm}){words.colon}{first.event}"
        sentence = words.false_alarm_note
    areas: dict[Area, None] = dict.fromkeys(a for i in same for a in i.areas)
    return replace(
        first,
        urgency=Urgency.PAST,
        certainty=Certainty.UNLIKELY if false_alarm else first.certainty,
        response_types=(ResponseType.ALL_CLEAR,) if false_alarm else (),
        effective=None,
        onset=None,
        expires=expires,
        headline=headline,
        description=f"{sentence} {reason}".strip(),
        instruction=None,
        parameters=(notice.parameter,),
        resources=(),
        areas=tuple(areas),
    )
