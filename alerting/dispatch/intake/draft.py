"""Draft: makes the next version of a live alert from its live versions. A pure function."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum

from alerting.channels.text.phrases import phrases
from alerting.dispatch.intake.cancel_notice import notice_of
from alerting.domain.alert import Alert, Info, MsgType, ResponseType, Severity, Urgency
from alerting.errors import BadInput

#: The end of an identifier that an earlier draft made.
_OURS = re.compile(r"-(?:update|extension|end)-\d{8}T\d{6}\Z", re.ASCII)


class Kind(StrEnum):
    UPDATE = "update"
    EXTENSION = "extension"
    END = "end"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Changes:
    """What the next version changes; None keeps a value. Texts are in one language."""

    headline: str | None = None
    description: str | None = None
    instruction: str | None = None
    severity: Severity | None = None
    urgency: Urgency | None = None

    @property
    def texts(self) -> dict[str, str]:
        """The texts that change, by field."""
        given = {n: getattr(self, n) for n in ("headline", "description", "instruction")}
        return {name: text for name, text in given.items() if text is not None}

    @property
    def any(self) -> bool:
        """True when anything changes."""
        return any(getattr(self, f.name) is not None for f in fields(self))


def draft(
    versions: Sequence[Alert],
    kind: Kind,
    *,
    now: datetime,
    changes: Changes,
    language: str | None = None,
    hours: float | None = None,
) -> Alert:
    """Make the next version of a thread; it refers to all its live versions.

    Args:
        versions: The live versions, oldest first.
        language: Of the changed texts; None when the alert has only one.
        hours: From now until it ends; None keeps the end. A cancel is sent for 24 hours by default.

    Raises:
        BadInput: For an update that changes nothing, an extension that does not end later, and for
            texts that would leave another language unchanged.
    """
    if kind is Kind.CANCEL:
        valid_s = (hours or 24) * 3600
        reason = changes.description or ""
        notice = notice_of(versions, now=now, reason=reason, false_alarm=False, valid_s=valid_s)
        # The file is edited by hand: without the parameter its texts count as the sender's own.
        return replace(notice, infos=tuple(replace(i, parameters=()) for i in notice.infos))
    newest = versions[-1]
    sent = max(now, newest.sent + timedelta(seconds=1))
    sent = sent.astimezone(newest.sent.tzinfo).replace(microsecond=0)
    ends = None if hours is None else sent + timedelta(seconds=int(hours * 3600))
    _refuse_nothing(newest, kind, changes, language, ends)
    make = _ended if kind is Kind.END else _changed
    return replace(
        newest,
        identifier=f"{_OURS.sub('', newest.identifier)}-{kind}-{sent:%Y%m%dT%H%M%S}",
        sent=sent,
        msg_type=MsgType.UPDATE,
        references=tuple(v.triple for v in versions),
        loose_references=(),
        infos=tuple(
            make(info, changes if _meant(info, language) else _untexted(changes), sent, ends)
            for info in newest.infos
        ),
        repairs=(),
        remarks=(),
    )


def _refuse_nothing(
    newest: Alert, kind: Kind, changes: Changes, language: str | None, ends: datetime | None
) -> None:
    if kind is Kind.EXTENSION and ends is None:
        raise BadInput("An extension needs a duration.", remedy="Give --hours, from now.")
    present = max((i.expires for i in newest.infos if i.expires), default=None)
    if kind is Kind.EXTENSION and ends is not None and present is not None and ends <= present:
        raise BadInput(
            f"It would end at {ends.isoformat()}, but it is already in force until "
            f"{present.isoformat()}.",
            remedy="Give more --hours, which count from now; to end it sooner, write an update.",
        )
    if kind is Kind.UPDATE and not changes.any and ends is None:
        raise BadInput(
            "This update would change nothing.",
            remedy="Give what changes, such as --instruction or --severity.",
        )
    languages = dict.fromkeys(i.language for i in newest.infos)
    meant = [one for one in languages if language is None or one.lower() == language.lower()]
    if not meant:
        raise BadInput(
            f"The alert has no info in {language}.", remedy=f"It has {', '.join(languages)}."
        )
    if changes.texts and len(meant) > 1:
        raise BadInput(
            f"The alert has {', '.join(languages)}, and the new text is in only one language.",
            remedy="Give --language, and correct the other languages in the file.",
        )


def _meant(info: Info, language: str | None) -> bool:
    return language is None or info.language.lower() == language.lower()


def _untexted(changes: Changes) -> Changes:
    return replace(changes, headline=None, description=None, instruction=None)


def _changed(info: Info, changes: Changes, sent: datetime, ends: datetime | None) -> Info:
    given = {f.name: getattr(changes, f.name) for f in fields(changes)}
    values = {name: value for name, value in given.items() if value is not None}
    if ends is not None:
        values["expires"] = ends
    return replace(info, **values)


def _ended(info: Info, changes: Changes, sent: datetime, ends: datetime | None) -> Info:
    words = phrases(info.language)
    return replace(
        info,
        urgency=Urgency.PAST,
        response_types=(ResponseType.ALL_CLEAR,),
        effective=None,
        onset=None,
        expires=ends or sent + timedelta(hours=24),
        headline=changes.headline or f"{words.all_clear}{words.colon}{info.event}",
        description=changes.description or f"{words.ended}{words.colon}{info.event}",
        instruction=changes.instruction,
        parameters=(),
        resources=(),
    )
