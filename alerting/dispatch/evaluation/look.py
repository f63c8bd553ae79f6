"""Look: whether an alert's areas are where its sender meant them, by who lives there.

A sender who thought of metres writes a circle over a continent, and one who exchanged latitude and
longitude one over a sea. CAP allows both; the register knows better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from alerting.audience import FEW
from alerting.cap.plausibility import WIDE_KM
from alerting.dispatch.placement.earlier import Register
from alerting.domain.alert import Alert, Area, Circle, MsgType, Polygon

#: Beyond this many people nobody waits for the exact number.
_COUNTED = 10_000
#: More names of geocodes are not listed.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Looked:
    """held: why a second person should look first, "" where nobody need. notes: what the sender
    should know."""

    held: str = ""
    notes: tuple[str, ...] = ()


async def look(register: Register, alert: Alert, *, discreet: bool) -> Looked:
    """What the register says of the areas of a public alert that is not the end of a danger.

    discreet: its sender may not read the register: fewer than `FEW` people are then as good as
    nobody, so that no answer shows whether a certain one is there.
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
            f"{_none(discreet)}, and with latitude and longitude exchanged they hold {people}. "
            "CAP writes latitude first."
        )
    return Looked("", (await _nobody(register, alert, least, discreet),))


def _none(discreet: bool) -> str:
    if discreet:
        return f"Fewer than {FEW} people of the register, perhaps nobody, are in its areas"
    return "Nobody of the register is in its areas"


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
        f"A circle of it has a radius of {widest.radius_km:,.0f} km and holds {here}; one of as "
        f"many metres holds {there}. CAP takes kilometres: draw a polygon where so much is meant."
    )


async def _people(register: Register, alert: Alert, least: int) -> str:
    """About how many people an alert's areas hold; "" where fewer than `least`."""
    if not await register.at_least(alert, least):
        return ""
    found = await register.count(alert, unless_below=_COUNTED)
    if found < FEW:
        return f"fewer than {FEW} people"
    # Not to the last one: two areas that differ by a house would say who lives in it. What is not
    # below that is counted only in part where there are very many.
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
    """The same alert with latitude and longitude exchanged in its shapes, and without geocodes;
    None where there is no such place, or no other."""
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
    """The same alert for one circle alone."""
    info = replace(alert.infos[0], areas=(Area("", circles=(circle,)),))
    return replace(alert, infos=(info,))
