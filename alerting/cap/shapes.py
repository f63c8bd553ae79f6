"""CAP's shapes: a polygon is `lat,lon lat,lon …`, a circle `lat,lon km`; WGS 84, degrees.

The schema permits any text here, so whatever is read differently than written is a remark. An
ambiguous text is read in the most likely way, and a person is asked to correct it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from alerting.cap.rings import Points, numbers_of, words_of, written
from alerting.domain.alert import Circle, Polygon

_RING = "Write points as lat,lon lat,lon …, in degrees with a decimal point."
_DISC = "Write a circle as lat,lon and its radius in kilometres, like 54.46,2.4 5."

Shape = TypeVar("Shape", Polygon, Circle)


@dataclass(frozen=True, slots=True)
class Drawn(Generic[Shape]):
    """The shape in a text; `shape` is None when there is none.

    Attributes:
        remarks: What was read differently than written.
        unclear: Why a person is asked to correct it, "" when nothing else can be meant.
        remedy: The correction.
    """

    shape: Shape | None
    remarks: tuple[str, ...] = ()
    unclear: str = ""
    remedy: str = ""


def polygon(text: str) -> Drawn[Polygon]:
    """Read a ring."""
    read = written(text)
    if read is None:
        return _nothing("no polygon, left out", text, _RING)
    placed, moved = _on_earth(read.points)
    if placed is None:
        return _nothing("coordinates outside the Earth, polygon left out", text, _RING)
    remarks = [*([f"{read.how}: {_glimpse(text)}"] if read.how else []), *moved]
    if placed[0] != placed[-1]:
        placed.append(placed[0])
        remarks.append("last point was not the first; the ring was closed")
    if len(placed) < 4:
        return _nothing("fewer than four points, polygon left out", text, _RING)
    shape = Polygon(tuple(placed))
    if not read.unclear:
        return Drawn(shape, tuple(remarks))
    meant = f"Did you mean {_glimpse(polygon_text(shape))}? {_RING}"
    return Drawn(shape, tuple(remarks), f"{_glimpse(text)} may have {read.unclear}", meant)


def circle(text: str) -> Drawn[Circle]:
    """Read a circle."""
    words = words_of(text)
    numbers = numbers_of(text)
    if numbers is None or len(numbers) != 3 or not 0 <= numbers[2] < math.inf:
        return _nothing("no circle, left out", text, _DISC)
    one_way = len(words) == 2 and "," in words[0] and numbers_of(words[1]) == numbers[2:]
    exact = one_way and words == text.split()
    placed, how = _on_earth([(numbers[0], numbers[1])])
    if placed is None:
        return _nothing("centre outside the Earth, circle left out", text, _DISC)
    remarks = (*(() if exact else (f"not written lat,lon km: {_glimpse(text)}",)), *how)
    shape = Circle(*placed[0], numbers[2])
    if one_way:
        return Drawn(shape, remarks)
    meant = f"Did you mean {circle_text(shape)!r}? {_DISC}"
    return Drawn(shape, remarks, f"{_glimpse(text)} may be no centre and radius", meant)


def polygon_text(shape: Polygon) -> str:
    text = " ".join(f"{lat!r},{lon!r}" for lat, lon in shape.points)
    if "e" in text:
        return " ".join(f"{decimal(lat)},{decimal(lon)}" for lat, lon in shape.points)
    return f"{text} ".replace(".0,", ",").replace(".0 ", " ").rstrip()


def circle_text(shape: Circle) -> str:
    return f"{decimal(shape.lat)},{decimal(shape.lon)} {decimal(shape.radius_km)}"


def decimal(number: float) -> str:
    """The shortest digits that give the same number back, never in exponent form."""
    text = repr(float(number))
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def _nothing(why: str, text: str, remedy: str) -> Drawn[Shape]:
    said = f"{why}: {_glimpse(text)}"
    return Drawn(None, (said,), said, remedy)


def _on_earth(points: Points) -> tuple[Points | None, list[str]]:
    """Move points to where the sender must have meant them; None when there is no such place."""
    how = []
    lats, lons = zip(*points, strict=True)
    if _furthest(lats) > 90:
        points, lats, lons = [(b, a) for a, b in points], lons, lats
        if _furthest(lats) > 90 or _furthest(lons) > 180:
            return None, []
        # A latitude over 90 does not exist, so only the other order remains.
        how.append("longitude was written before latitude; read the other way round")
    if _furthest(lons) > 180:
        if _furthest(lons) > 360:
            return None, []
        points = [(lat, _wrapped(lon)) for lat, lon in points]
        how.append("longitude beyond 180 counted from the other side")
    return points, how


def _furthest(degrees: tuple[float, ...]) -> float:
    return max(max(degrees), -min(degrees))


def _wrapped(lon: float) -> float:
    if -180 <= lon <= 180:
        return lon
    # Rounding removes the noise of the subtraction, far below a millimetre.
    return round(lon - math.copysign(360, lon), 9)


def _glimpse(text: str) -> str:
    text = " ".join(text[:200].split())
    return repr(text if len(text) <= 60 else text[:57] + "…")
