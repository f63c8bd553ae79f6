"""Notice: makes the Cancel that ends a thread from the versions it ends. A pure function."""

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
    """Make the Cancel of a thread's live versions, in every language they have.

    It has the newest version's identifier, with a suffix, codes and participants. Its texts repeat
    none of the alerts' instructions. A parameter marks them as ours, so that citizens read them in
    their own languages.

    Args:
        versions: The live versions, oldest first.
        reason: The coordinator's words; they follow ours in every language.
        valid_s: For how many seconds it is sent.
    """
    newest = versions[-1]
    # Receivers order alerts by `sent`, in whole seconds; but a clock far ahead is not followed.
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
    """The info of one language. The most severe info gives the event's name."""
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
