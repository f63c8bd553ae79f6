"""The points of a ring, in CAP's form or another; and the most likely of several readings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shapely import Polygon as Shape
from shapely.validation import explain_validity

from alerting.domain.alert import Polygon


def fault(polygon: Polygon) -> str | None:
    """What is wrong with a ring, in words and with the place; None where it is simple.

    A jump of more than 180 degrees of longitude is taken as a step across the antimeridian.
    """
    line: list[tuple[float, float]] = []
    turn = 0.0
    for lat, lon in polygon.points:
        if line and abs(lon + turn - line[-1][0]) > 180:
            turn += 360 if lon + turn < line[-1][0] else -360
        line.append((lon + turn, lat))
    if line[0] != line[-1]:
        return "The ring goes around a pole"
    why, _, place = explain_validity(Shape(line)).partition("[")
    if why == "Valid Geometry":
        return None
    if "elf-intersection" not in why:
        return "The ring encloses nothing"
    lon_text, _, lat_text = place.rstrip("]").partition(" ")
    return f"The ring crosses or touches itself at {lat_text},{lon_text}"


NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_NUMBERS = re.compile(NUMBER, re.ASCII)
_WORD = re.compile(rf"{NUMBER}(?:,{NUMBER})*", re.ASCII)
_LAT_LON = rf"(?a:{NUMBER},{NUMBER})"
_POINTS = re.compile(rf"\s*+{_LAT_LON}(?:\s++{_LAT_LON})*+\s*+")
_BETWEEN = re.compile(r"[\s,;()\[\].]*")
_NOT_WHOLE = re.compile(r"[.eE]")

_OTHERWISE = "points not written lat,lon lat,lon"
#: Fewer points do not make a ring.
_LEAST = 3

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Written:
    """Points (lat, lon) as they were read.

    Attributes:
        how: What was read differently than written, "" for CAP's form.
        unclear: Why another reading is possible, "" when none is.
    """

    points: Points
    how: str = ""
    unclear: str = ""


def written(text: str) -> Written | None:
    """The points in a text; None when there are none."""
    # CAP's form first: a document may have a hundred thousand points.
    if _POINTS.fullmatch(text) and _NOT_WHOLE.search(text):
        return Written(_pairs([float(n) for n in text.replace(",", " ").split()]))
    words = words_of(text)
    groups = [_WORD.fullmatch(word) is not None and word.split(",") for word in words]
    named = [group for group in groups if group]
    if not named or len(named) < len(groups):
        return _bracketed(text)
    sizes = {len(group) for group in named}
    commas = _decimal_commas([n for group in named for n in group], text)
    if sizes == {2}:
        plain = _pairs([float(n) for group in named for n in group])
        # Read as CAP the ring closes, or there are no two whole numbers for a degree.
        if commas is None or plain[0] == plain[-1]:
            exact = words == text.split()
            return Written(plain, "" if exact else _OTHERWISE)
        if commas[0] == commas[-1]:
            return _with_commas(commas)
        return Written(plain, "", "whole degrees, or commas for decimal points")
    if sizes == {4} and commas is not None:
        return _with_commas(commas)
    numbers = [float(n) for group in named for n in group]
    if (sizes == {3} and len(named) >= _LEAST) or (len(named) == 1 and _threes(numbers)):
        return _with_altitude(numbers)
    if len(numbers) % 2:
        return None
    one_way = len(named) == 1 and commas is None
    return Written(_pairs(numbers), _OTHERWISE, "" if one_way else "points in an unknown form")


def numbers_of(text: str) -> list[float] | None:
    """All numbers of a text that contains nothing else of meaning."""
    if not _BETWEEN.fullmatch(_NUMBERS.sub("", text)):
        return None
    return [float(n) for n in _NUMBERS.findall(text)] or None


def words_of(text: str) -> list[str]:
    """The points of a text, without the blanks beside their commas."""
    return ",".join(part.strip() for part in text.replace(";", " ").split(",")).split()


def _bracketed(text: str) -> Written | None:
    numbers = numbers_of(text)
    if numbers is None or len(numbers) % 2:
        return None
    points = _pairs(numbers)
    if "[" in text:
        how = "points in brackets, read as GeoJSON's [lon,lat]"
        return Written([(b, a) for a, b in points], how, "points in brackets")
    return Written(points, _OTHERWISE, "points in an unknown form")


def _pairs(numbers: Sequence[float]) -> Points:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _threes(numbers: Sequence[float]) -> bool:
    """True when every third number is the same height, as only heights would be."""
    return len(numbers) >= 3 * _LEAST and not len(numbers) % 3 and len(set(numbers[2::3])) == 1


def _with_altitude(numbers: Sequence[float]) -> Written:
    points = list(zip(numbers[1::3], numbers[::3], strict=True))
    how = "points with an altitude, read as KML's lon,lat,altitude"
    return Written(points, how, "points with an altitude")


def _decimal_commas(parts: Sequence[str], text: str) -> Points | None:
    """The points when each comma is read as a decimal point; None when it cannot be."""
    if _NOT_WHOLE.search(text) or len(parts) % 4 or len(parts) < 4 * _LEAST:
        return None
    wholes, decimals = parts[::2], parts[1::2]
    if any(not d.isdigit() for d in decimals):
        return None
    return _pairs([float(f"{w}.{d}") for w, d in zip(wholes, decimals, strict=True)])


def _with_commas(points: Points) -> Written:
    return Written(points, "commas read as decimal points", "commas for decimal points")
