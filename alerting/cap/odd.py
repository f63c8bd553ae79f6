"""Valid CAP that was probably not meant: circles over continents, tests that say Actual, times in
the future or past, a text in another language than it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from alerting.cap.findings import Finding
from alerting.domain.alert import Alert, Circle, Info, MsgType
from alerting.domain.language import primary

#: A wider circle is rarely meant; its author may have thought of metres.
WIDE_KM = 500.0
#: How far a sender's clock may be wrong.
AHEAD = timedelta(minutes=5)

_WORD = re.compile(r"[^\W\d_]+")
#: Foreign words may be names when there are fewer than this, or fewer than one in this many.
_NAMES, _PART = 3, 20


def odd(alert: Alert, now: datetime | None = None) -> Iterator[Finding]:
    """What looks odd about an alert at `now`; None skips findings about the present."""
    for number, info in enumerate(alert.infos, 1):
        where = f"info[{number}]"
        for circle_where, circle in _circles(info, where):
            if circle.radius_km > WIDE_KM:
                yield Finding(
                    "warning",
                    circle_where,
                    f"Its radius is {circle.radius_km:,.0f} km.",
                    "CAP takes kilometres; draw a polygon where so much is meant.",
                )
        if _foreign(info):
            yield Finding(
                "warning",
                f"{where}/language",
                f"It says or is taken for {info.language}, and its text hardly is.",
                "Say its language: whoever reads it gets this text, in a frame of the same.",
            )
        if now is not None:
            yield from _by_now(alert, info, where, now)
    if now is not None and alert.sent > now + AHEAD:
        yield Finding(
            "error",
            "sent",
            f"It is sent at {alert.sent.isoformat()}, which is still to come.",
            "Correct sent and its offset.",
        )


def _circles(info: Info, where: str) -> Iterator[tuple[str, Circle]]:
    for number, area in enumerate(info.areas, 1):
        for no, circle in enumerate(area.circles, 1):
            yield f"{where}/area[{number}]/circle[{no}]", circle


def _foreign(info: Info) -> bool:
    """True for a text of letters that are rare in English, CAP's default language."""
    if primary(info.language) != "en":
        return False
    text = " ".join(filter(None, (info.headline, info.description, info.instruction)))[:5_000]
    words = set(_WORD.findall(text.lower()))
    accented = [word for word in words if not word.isascii()]
    # A name or two may be foreign in any text.
    return len(accented) >= _NAMES and len(accented) * _PART >= len(words)


def _by_now(alert: Alert, info: Info, where: str, now: datetime) -> Iterator[Finding]:
    if alert.ends_in(info) or alert.msg_type not in (MsgType.ALERT, MsgType.UPDATE):
        return
    if info.expires is not None and info.expires <= now:
        yield Finding(
            "warning",
            f"{where}/expires",
            f"It was over at {info.expires.isoformat()}.",
            "An alert that is over is sent to nobody: correct expires, or move its times to now.",
        )
    if info.effective is not None and info.effective > now + AHEAD:
        yield Finding(
            "warning",
            f"{where}/effective",
            f"It takes effect only at {info.effective.isoformat()}, and is sent at once.",
            "Submit it then, or say in onset when the danger begins.",
        )
