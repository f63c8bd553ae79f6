"""Look: checks an alert's areas for likely mistakes by who lives there.

A radius in metres makes a circle over a continent, and exchanged latitude and longitude an area at
sea. CAP allows both; the register shows that they are mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from alerting.audience import FEW
from alerting.cap.plausibility import WIDE_KM
from alerting.dispatch.placement.earlier import Register
from alerting.domain.alert import Alert, Area, Circle, MsgType, Polygon

#: Larger audiences are not counted exactly, which would take too long.
_COUNTED = 10_000
#: The most geocodes listed in one sentence.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Looked:
    """What the check found.

    Attributes:
        held: Why a second person must approve the alert; empty when none need.
        notes: What its sender should know.
    """

    held: str = ""
    notes: tuple[str, ...] = ()


async def look(register: Register, alert: Alert, *, discreet: bool) -> Looked:
    """Check the areas of a public alert that does not end a danger; other alerts pass unchecked.

    Args:
        discreet: Its sender may not read the register: fewer than `FEW` people are then reported
            like nobody, so that no answer discloses where somebody lives.
    """
    if alert.msg_type not in (MsgType.ALERT, MsgType.UPDATE) or not alert.for_public or alert.ends:
        return Looked()
    least, nobody = (FEW, f"fewer than {FEW} people") if discreet else (1, "nobody")
    if wide := await _wide(register, alert, least, nobody):
        return Looked(wide)
    if await register.at_least(alert, least):
        return Looked()
    other = mirrored(alert)
    if other is not None and (people := await _people(register, other, least)):
        return Looked(
            f"{_none(discreet)}; with latitude and longitude exchanged they hold {people}. CAP "
            "writes latitude first."
        )
    return Looked("", (await _nobody(register, alert, least, discreet),))


def _none(discreet: bool) -> str:
    if discreet:
        return f"Fewer than {FEW} registered citizens, perhaps none, are in its areas"
    return "No registered citizen is in its areas"


async def _wide(register: Register, alert: Alert, least: int, nobody: str) -> str:
    circles = {c for i in alert.infos for a in i.areas for c in a.circles if c.radius_km > WIDE_KM}
    if not circles:
        return ""
    widest = max(circles, key=lambda c: c.radius_km)
    metres = replace(widest, radius_km=widest.radius_km / 1000)
    here, there = [
        await _people(register, _only(alert, c), least) or nobody for c in (widest, metres)
    ]
    return (
        f"One of its circles has a radius of {widest.radius_km:,.0f} km and holds {here}; with "
        f"that radius in metres it holds {there}. CAP uses kilometres: draw a polygon if you mean "
        "an area of this size."
    )


async def _people(register: Register, alert: Alert, least: int) -> str:
    """The approximate number of people in an alert's areas, in words; "" when below `least`."""
    if not await register.at_least(alert, least):
        return ""
    found = await register.count(alert, unless_below=_COUNTED)
    if found < FEW:
        return f"fewer than {FEW} people"
    # Rounded: exact numbers for two areas that differ by one house would disclose who lives in it.
    about = round(found, -1)
    return f"about {about:,} people" if found <= _COUNTED else f"more than {_COUNTED:,} people"


async def _nobody(register: Register, alert: Alert, least: int, discreet: bool) -> str:
    said = f"{_none(discreet)}." if discreet else f"{_none(discreet)}: it reaches nobody."
    codes = await register.unknown_codes(alert, least=least)
    if not codes:
        return said
    named = ", ".join(str(code)[:60] for code in codes[:_NAMED])
    rest = f" and {len(codes) - _NAMED} more" if len(codes) > _NAMED else ""
    who = f"Fewer than {FEW} people have" if discreet else "Nobody has"
    return f"{said} {who} the geocode {named}{rest}."


def mirrored(alert: Alert) -> Alert | None:
    """The same alert with latitude and longitude exchanged in its shapes, and without geocodes.

    None when it has no shapes, or when the exchanged coordinates would be invalid.
    """
    areas = [a for i in alert.infos for a in i.areas]
    points = [p for a in areas for ring in a.polygons for p in ring.points]
    points += [(c.lat, c.lon) for a in areas for c in a.circles]
    if not points or any(abs(lon) > 90 for _, lon in points):
        return None
    return replace(
        alert,
        infos=tuple(
            replace(i, areas=tuple(_mirrored(area) for area in i.areas)) for i in alert.infos
        ),
    )


def _mirrored(area: Area) -> Area:
    return replace(
        area,
        polygons=tuple(Polygon(tuple((b, a) for a, b in ring.points)) for ring in area.polygons),
        circles=tuple(Circle(c.lon, c.lat, c.radius_km) for c in area.circles),
        geocodes=(),
    )


def _only(alert: Alert, circle: Circle) -> Alert:
    """The same alert with this circle as its only area."""
    info = replace(alert.infos[0], areas=(Area("", circles=(circle,)),))
    return replace(alert, infos=(info,))
