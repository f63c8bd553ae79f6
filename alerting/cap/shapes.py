"""CAP's shapes: a polygon is `lat,lon lat,lon …`, a circle `lat,lon km`; WGS 84, degrees.

The schema takes any text here, so whatever is read otherwise than written is a remark.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from alerting.domain.alert import Circle, Polygon

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_NUMBERS = re.compile(_NUMBER, re.ASCII)
_POINT = re.compile(rf"({_NUMBER}),({_NUMBER})", re.ASCII)
_BETWEEN = re.compile(r"[\s,;()\[\].]*")

Points = list[tuple[float, float]]


def polygon(text: str) -> tuple[Polygon | None, tuple[str, ...]]:
    """Read a ring; None where the text is none. The strings say what was read otherwise."""
    remarks: list[str] = []
    points = _points(text.split())
    if points is None:
        numbers = _numbers(text)
        if numbers is None or len(numbers) % 2:
            return None, (f"no polygon, left out: {_glimpse(text)}",)
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        remarks.append(f"points not written lat,lon lat,lon: {_glimpse(text)}")
    placed, how = _on_earth(points)
    if placed is None:
        return None, (f"coordinates outside the Earth, polygon left out: {_glimpse(text)}",)
    remarks += how
    if placed[0] != placed[-1]:
        placed.append(placed[0])
        remarks.append("last point was not the first; the ring was closed")
    if len(placed) < 4:
        return None, (f"fewer than four points, polygon left out: {_glimpse(text)}",)
    return Polygon(tuple(placed)), tuple(remarks)


def circle(text: str) -> tuple[Circle | None, tuple[str, ...]]:
    """Read a circle; None where the text is none."""
    parts = text.split()
    centre = _points(parts[:1])
    exact = len(parts) == 2 and centre and _NUMBERS.fullmatch(parts[1])
    numbers = [*centre[0], float(parts[1])] if exact and centre else _numbers(text)
    if numbers is None or len(numbers) != 3 or not 0 <= numbers[2] < math.inf:
        return None, (f"no circle, left out: {_glimpse(text)}",)
    remarks = () if exact else (f"not written lat,lon km: {_glimpse(text)}",)
    placed, how = _on_earth([(numbers[0], numbers[1])])
    if placed is None:
        return None, (f"centre outside the Earth, circle left out: {_glimpse(text)}",)
    return Circle(*placed[0], numbers[2]), (*remarks, *how)


def polygon_text(shape: Polygon) -> str:
    return " ".join(f"{decimal(lat)},{decimal(lon)}" for lat, lon in shape.points)


def circle_text(shape: Circle) -> str:
    return f"{decimal(shape.lat)},{decimal(shape.lon)} {decimal(shape.radius_km)}"


def decimal(number: float) -> str:
    """The shortest digits that give the same number back, never in exponent form."""
    text = repr(float(number))
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def _points(words: list[str]) -> Points | None:
    found = [_POINT.fullmatch(word) for word in words]
    points = [(float(m[1]), float(m[2])) for m in found if m]
    return points if points and len(points) == len(found) else None


def _numbers(text: str) -> list[float] | None:
    """All numbers of a text that holds nothing else of meaning."""
    if not _BETWEEN.fullmatch(_NUMBERS.sub("", text)):
        return None
    return [float(n) for n in _NUMBERS.findall(text)] or None


def _on_earth(points: Points) -> tuple[Points | None, list[str]]:
    """Put points where the sender must have meant them; None where there is no such place."""
    how = []
    if any(abs(lat) > 90 for lat, _ in points):
        points = [(b, a) for a, b in points]
        if any(abs(lat) > 90 for lat, _ in points) or any(abs(lon) > 180 for _, lon in points):
            return None, []
        # A latitude over 90 does not exist, so the other order is the only reading left.
        how.append("longitude was written before latitude; read the other way round")
    if any(abs(lon) > 180 for _, lon in points):
        if any(abs(lon) > 360 for _, lon in points):
            return None, []
        points = [(lat, _wrapped(lon)) for lat, lon in points]
        how.append("longitude beyond 180 counted from the other side")
    return points, how


def _wrapped(lon: float) -> float:
    if -180 <= lon <= 180:
        return lon
    # Rounding hides the noise of the subtraction, far below a millimetre.
    return round(lon - math.copysign(360, lon), 9)


def _glimpse(text: str) -> str:
    text = " ".join(text[:200].split())
    return repr(text if len(text) <= 60 else text[:57] + "…")
