"""Check the content: would a citizen know who warns, of what, where, what to do and when?

Sources: OASIS CAP-v1.2-os §3.2; Sutton et al. on the content of warnings (source, hazard, place,
guidance, time); Google's public-alerts CAP profile for lengths and repeated texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from alerting.cap import rings
from alerting.cap.plausibility import contradictions, odd
from alerting.cap.refusal import FOR_WHOM, public_but
from alerting.cap.report import Finding, Findings, InfoFacts
from alerting.domain.alert import Alert, Area, Info, MsgType, Scope
from alerting.domain.blank import says_nothing

LONG_HEADLINE, TOO_LONG_HEADLINE = 90, 140
LONG_LIFE = timedelta(hours=24)
_TAG = re.compile(
    r"</?(?:a|b|br|div|em|i|li|ol|p|span|strong|table|td|tr|u|ul)\b[^<>]{0,200}>", re.I
)
_AWKWARD = re.compile(r"[\s,<&]")


def check(alert: Alert, now: datetime | None = None) -> Findings:
    """Every weakness found, the most serious first, and the facts of each info; never fails.

    Args:
        now: For findings about the present, such as that it is over; None for none of these.
    """
    found = [*_alert(alert), *_references(alert), *_repeated(alert), *contradictions(alert)]
    found += [*_several(alert), *odd(alert, now)]
    facts = []
    for number, info in enumerate(alert.infos, 1):
        where = f"info[{number}]"
        facts.append(_facts(alert, info, where))
        found += _missing(facts[-1])
        found += _wording(info, facts[-1])
        found += _times(alert, info, where)
        found += _areas(alert, info, where)
    rank = ("error", "warning", "note").index
    return Findings(tuple(sorted(found, key=lambda f: rank(f.level))), tuple(facts))


def _facts(alert: Alert, info: Info, where: str) -> InfoFacts:
    return InfoFacts(
        where=where,
        language=info.language,
        source="senderName" if info.sender_name else "sender" if alert.sender else None,
        hazard=_first(event=info.event, headline=info.headline),
        place="areaDesc" if any(not says_nothing(a.area_desc) for a in info.areas) else None,
        guidance=_first(instruction=info.instruction, description=info.description),
        time=next((n for n in ("onset", "effective", "expires") if getattr(info, n)), None),
        headline_length=len(info.headline or ""),
    )


def _first(**texts: str | None) -> str | None:
    return next((name for name, text in texts.items() if not says_nothing(text)), None)


def _alert(alert: Alert) -> Iterator[Finding]:
    for one in alert.unclear:
        text = f"{one.what[:1].upper()}{one.what[1:]}: a submission of it is refused."
        yield Finding("error", one.where, text, one.remedy)
    unclear = public_but(alert)
    if unclear is not None:
        yield Finding("error", unclear.where, f"{unclear.what}.", FOR_WHOM)
    for remark in alert.remarks:
        if remark != unclear:
            text = f"{remark.what[:1].upper()}{remark.what[1:]}."
            yield Finding("warning", remark.where, text, "Check that it was meant so.")
    for name, value in (("identifier", alert.identifier), ("sender", alert.sender)):
        if _AWKWARD.search(value):
            yield Finding(
                "warning",
                name,
                f"{value[:60]!r} holds a blank, comma, < or &, which CAP forbids here.",
                "Use letters, digits and points, so that references to it can be read.",
            )
    if not alert.for_public and not alert.addresses:
        yield Finding(
            "error",
            "addresses",
            f"An alert with status {alert.status} and scope {alert.scope} reaches only the "
            "participants its addresses name, and it names nobody.",
            "List the rosters of a drill, or the groups of the register.",
        )
    if alert.scope is Scope.RESTRICTED and not alert.restriction:
        yield Finding(
            "error",
            "restriction",
            "A Restricted alert does not say to whom.",
            "Say whom it is for in restriction.",
        )


def _references(alert: Alert) -> Iterator[Finding]:
    named = alert.references or alert.loose_references
    if alert.msg_type in (MsgType.UPDATE, MsgType.CANCEL) and not named:
        yield Finding(
            "error",
            "references",
            f"{alert.msg_type} of nothing: it references no earlier alert.",
            "List every earlier alert of the event that has not expired.",
        )
    for reference in alert.references:
        if (reference.sender, reference.identifier) == (alert.sender, alert.identifier):
            yield Finding(
                "error",
                "references",
                "The alert references itself.",
                "Give each message its own identifier and reference the earlier one.",
            )
        elif reference.sent > alert.sent:
            yield Finding(
                "error",
                "references",
                f"It references {reference.identifier[:60]!r}, which was sent later.",
                "Reference only earlier alerts.",
            )


def _repeated(alert: Alert) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for number, info in enumerate(alert.infos, 1):
        text = "\n".join(filter(None, (info.headline, info.description, info.instruction)))
        other = seen.setdefault(text, info.language)
        if text and other.lower() != info.language.lower():
            yield Finding(
                "warning",
                f"info[{number}]",
                f"The same text stands under the languages {other} and {info.language}.",
                "Translate it, or leave one out.",
            )


def _several(alert: Alert) -> Iterator[Finding]:
    events: dict[str, str] = {}
    first = alert.infos[0].language.lower() if alert.infos else ""
    for number, info in enumerate(alert.infos, 1):
        if info.language.lower() == first:
            events.setdefault(info.event.casefold().strip(), f"info[{number}]")
    if len(events) > 1:
        yield Finding(
            "note",
            " ".join(events.values()),
            "They tell of different events: whoever is in the areas of several gets one message "
            "with all of them.",
            "An alert for each could be ended by itself.",
        )


def _missing(facts: InfoFacts) -> Iterator[Finding]:
    where = facts.where
    if facts.source != "senderName":
        yield Finding("note", where, "Citizens are not told who warns them.", "Give senderName.")
    if facts.hazard is None:
        yield Finding("error", where, "It does not say what is happening.", "Give event.")
    if not facts.headline_length:
        yield Finding("note", where, "It has no headline.", "Say the core in one short line.")
    if facts.place is None:
        yield Finding("warning", where, "It does not say where.", "Name the place in areaDesc.")
    if facts.guidance is None:
        yield Finding("warning", where, "It does not say what to do.", "Give instruction.")
    if facts.time is None:
        yield Finding(
            "warning", where, "It does not say when.", "Give onset, effective or expires."
        )


def _wording(info: Info, facts: InfoFacts) -> Iterator[Finding]:
    headline = f"{facts.where}/headline"
    if facts.headline_length > TOO_LONG_HEADLINE:
        yield Finding(
            "warning",
            headline,
            f"{facts.headline_length} characters; many displays cut at {TOO_LONG_HEADLINE}.",
            "Shorten it; the description has room.",
        )
    elif facts.headline_length > LONG_HEADLINE:
        yield Finding(
            "note",
            headline,
            f"{facts.headline_length} characters; the shortest displays show {LONG_HEADLINE}.",
            "Say the most important words first.",
        )
    for name in ("headline", "description", "instruction"):
        if _TAG.search(getattr(info, name) or ""):
            yield Finding(
                "note",
                f"{facts.where}/{name}",
                "It holds HTML, which citizens may see as it stands.",
                "Use plain text.",
            )


def _times(alert: Alert, info: Info, where: str) -> Iterator[Finding]:
    where = f"{where}/expires"
    if info.expires is None:
        yield Finding("warning", where, "It has no end.", "Say until when it holds.")
        return
    if info.expires <= alert.sent and alert.ends_in(info):
        yield Finding(
            "note",
            where,
            "It had ended when it was sent: it is taken for the end of the danger.",
            "Say AllClear in responseType, or Past in urgency.",
        )
        return
    if info.expires <= alert.sent:
        yield Finding(
            "error", where, "It had ended when it was sent.", "An expired alert is never sent on."
        )
    elif info.expires - alert.sent > LONG_LIFE:
        hours = (info.expires - alert.sent) // timedelta(hours=1)
        yield Finding(
            "note", where, f"It holds for {hours} hours.", "Prefer shorter ends and an Update."
        )
    for name, start in (("effective", info.effective), ("onset", info.onset)):
        # The message about a watch for tomorrow may end today, when it says when the danger does.
        known = name == "onset" and info.until is not None
        if start is not None and start > info.expires and not known:
            yield Finding(
                "error", where, f"It ends before its {name}.", f"Correct {name} or expires."
            )


def _areas(alert: Alert, info: Info, where: str) -> Iterator[Finding]:
    placed = [a for a in info.areas if a.polygons or a.circles or a.geocodes]
    if not placed and alert.msg_type in (MsgType.ALERT, MsgType.UPDATE):
        yield Finding(
            "error",
            where,
            "Nobody can be found by it: no area has a polygon, circle or geocode.",
            "Draw the area or name its geocode.",
        )
    for number, area in enumerate(info.areas, 1):
        yield from _area(area, f"{where}/area[{number}]", bool(placed))


def _area(area: Area, where: str, others: bool) -> Iterator[Finding]:
    if others and not (area.polygons or area.circles or area.geocodes):
        yield Finding(
            "warning",
            where,
            f"Nobody is found by {area.area_desc[:60]!r}: no polygon, circle or geocode.",
            "Draw the area or name its geocode.",
        )
    if area.ceiling is not None and area.altitude is None:
        yield Finding(
            "warning", where, "A ceiling without an altitude means nothing.", "Give altitude."
        )
    for number, circle in enumerate(area.circles, 1):
        if not circle.radius_km:
            yield Finding(
                "note",
                f"{where}/circle[{number}]",
                "Its radius is 0, so it holds next to nobody.",
                "Give the radius in kilometres.",
            )
    for number, polygon in enumerate(area.polygons, 1):
        if fault := rings.fault(polygon):
            yield Finding(
                "warning",
                f"{where}/polygon[{number}]",
                f"{fault}; readers will differ on what is inside.",
                "Draw the line so that it does not cross itself.",
            )
