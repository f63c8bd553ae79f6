"""Move an alert in time, for rehearsals and prepared texts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from alerting.domain.alert import EVENT_ENDS, Alert, Info, NamedValue, instant


def sent_now(alert: Alert, now: datetime) -> Alert:
    """The same alert as if sent at `now`: every time of its infos moves by the same span.

    CAP times carry whole seconds, so `sent` is `now` cut to the second, in the sender's offset.
    """
    sent = now.astimezone(alert.sent.tzinfo).replace(microsecond=0)
    span = sent - alert.sent
    return replace(alert, sent=sent, infos=tuple(_moved(i, span) for i in alert.infos))


def _moved(info: Info, span: timedelta) -> Info:
    def by(at: datetime | None) -> datetime | None:
        return None if at is None else at + span

    return replace(
        info,
        effective=by(info.effective),
        onset=by(info.onset),
        expires=by(info.expires),
        parameters=tuple(_moved_end(p, span) for p in info.parameters),
    )


def _moved_end(p: NamedValue, span: timedelta) -> NamedValue:
    at = instant(p.value) if p.name == EVENT_ENDS else None
    return p if at is None else replace(p, value=(at + span).isoformat())
