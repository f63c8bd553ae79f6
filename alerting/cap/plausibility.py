"""Valid CAP that was probably not meant: odd values, tests that say Actual, contradictions.

Source: FCC 47 CFR 11.31 (event codes), NWS directive 10-1703 (VTEC's product class).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from alerting.cap.report import Finding
from alerting.domain.alert import (
    Alert,
    Certainty,
    Circle,
    Info,
    MsgType,
    ResponseType,
    Severity,
    Status,
    Urgency,
)
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


#: Required weekly and monthly test, national periodic test, practice or demonstration warning.
_CODES = frozenset({"RWT", "RMT", "NPT", "DMO"})

_VTEC = re.compile(r"\s*/T\.")
_WORDS = re.compile(
    r"\bthis is (?:only )?a test\b|\btest message only\b|"
    r"\b(?:required (?:weekly|monthly)|national periodic) test\b",
    re.IGNORECASE,
)
_TEXTS = ("event", "headline", "description", "instruction")


def called_a_test(alert: Alert) -> str:
    """Where an Actual alert says that it is a test, such as `info[1]/eventCode SAME=RWT`; "" when
    it does not, and for an alert that is not Actual."""
    if alert.status is not Status.ACTUAL:
        return ""
    found = ((n, _in(info)) for n, info in enumerate(alert.infos, 1))
    return next((f"info[{n}]/{where}" for n, where in found if where), "")


def _in(info: Info) -> str:
    for code in info.event_codes:
        if code.value.strip().upper() in _CODES:
            return f"eventCode {code}"
    for parameter in info.parameters:
        if "VTEC" in parameter.name.upper() and _VTEC.match(parameter.value):
            return f"parameter {parameter.name} begins with /T."
    for name in _TEXTS:
        words = _WORDS.search(getattr(info, name) or "")
        if words is not None:
            return f"{name} {words[0]!r}"
    return ""


_TAKE_COVER = (ResponseType.EVACUATE, ResponseType.SHELTER)
_ACT = (*_TAKE_COVER, ResponseType.EXECUTE, ResponseType.AVOID, ResponseType.PREPARE)
_HIGH_PRIORITY = (Severity.EXTREME, Severity.SEVERE)


def contradictions(alert: Alert) -> Iterator[Finding]:
    """The contradictions in an alert and each info, and their effect here."""
    if where := called_a_test(alert):
        yield Finding(
            "warning",
            "status",
            f"It says Actual, and that it is a test ({where}): it waits for a second person.",
            "Did you mean Test or Exercise?",
        )
    for number, info in enumerate(alert.infos, 1):
        for text, remedy in _of(info):
            yield Finding("warning", f"info[{number}]", text, remedy)


def _of(info: Info) -> Iterator[tuple[str, str]]:
    act = next((r for r in _ACT if r in info.response_types), None)
    over = next(
        (
            word
            for word, said in (
                (ResponseType.ALL_CLEAR, ResponseType.ALL_CLEAR in info.response_types),
                ("urgency Past", info.urgency is Urgency.PAST),
            )
            if said
        ),
        None,
    )
    if act in _TAKE_COVER and over:
        yield (
            f"It says {act} and {over}: it is taken for the end of the danger.",
            f"Take out {act}, or correct {over}.",
        )
    elif (
        act in _TAKE_COVER
        and info.urgency is Urgency.IMMEDIATE
        and info.severity not in _HIGH_PRIORITY
    ):
        yield (
            f"It says {act} and Immediate, and severity {info.severity}: below Severe it waits "
            "for quiet hours to end.",
            "Did you mean Severe or Extreme?",
        )
    if act and ResponseType.NONE in info.response_types:
        yield f"It says {act} and None.", "Take out one of them."
    immediate = info.urgency is Urgency.IMMEDIATE and info.severity in _HIGH_PRIORITY
    if immediate and info.certainty is Certainty.UNLIKELY:
        yield (
            f"It says {info.severity} and Immediate, and certainty Unlikely.",
            "Did you mean Likely or Possible?",
        )
