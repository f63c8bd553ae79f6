"""Look: whether an alert's areas are where its sender meant them, by who lives there.

A sender who thought of metres writes a circle over a continent, and one who exchanged latitude and
longitude one over a sea. CAP allows both; the register knows better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from alerting.cap.plausibility import WIDE_KM
from alerting.dispatch.placement.earlier import Register
from alerting.domain.alert import Alert, Area, Circle, MsgType, Polygon

#: Beyond this many people nobody waits for the exact number.
_COUNTED = 10_000
#: Of fewer people the number would show who lives where.
_FEW = 10
#: More names of geocodes are not listed.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Looked:
    """held: why a second person should look first, "" where nobody need. notes: what the sender
    should know."""

    held: str = ""
    notes: tuple[str, ...] = ()


async def look(register: Register, alert: Alert) -> Looked:
    """What the register says of the areas of a public alert that is not the end of a danger."""
    if alert.msg_type not in (MsgType.ALERT, MsgType.UPDATE) or not alert.for_public or alert.ends:
        return Looked()
    if wide := await _wide(register, alert):
        return Looked(wide)
    if await register.anybody(alert):
        return Looked()
    other = mirrored(alert)
    if other is not None and (people := await _people(register, other)):
        return Looked(
            "Nobody of the register is in its areas, and with latitude and longitude exchanged "
            f"they hold {people}. CAP writes latitude first."
        )
    return Looked("", (await _nobody(register, alert),))


async def _wide(register: Register, alert: Alert) -> str:
    circles = {c for i in alert.infos for a in i.areas for c in a.circles if c.radius_km > WIDE_KM}
    if not circles:
        return ""
    widest = max(circles, key=lambda c: c.radius_km)
    metres = replace(widest, radius_km=widest.radius_km / 1000)
    here, there = [await _people(register, _only(alert, c)) or "nobody" for c in (widest, metres)]
    return (
        f"A circle of it has a radius of {widest.radius_km:,.0f} km and holds {here}; one of as "
        f"many metres holds {there}. CAP takes kilometres: draw a polygon where so much is meant."
    )


async def _people(register: Register, alert: Alert) -> str:
    """About how many people an alert's areas hold; "" where nobody. A sender may not read."""
    if not await register.anybody(alert):
        return ""
    found = await register.count(alert, unless_below=_COUNTED)
    if found < _FEW:
        return f"fewer than {_FEW} people"
    # What is not below that is counted only in part where there are very many.
    return f"about {found:,} people" if found <= _COUNTED else f"more than {_COUNTED:,} people"


async def _nobody(register: Register, alert: Alert) -> str:
    codes = await register.unknown_codes(alert)
    if not codes:
        return "Nobody of the register is in its areas: it reaches nobody."
    named = ", ".join(str(code)[:60] for code in codes[:_NAMED])
    rest = f" and {len(codes) - _NAMED} more" if len(codes) > _NAMED else ""
    return (
        "Nobody of the register is in its areas: it reaches nobody. Nobody has the geocode "
        f"{named}{rest}."
    )


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
