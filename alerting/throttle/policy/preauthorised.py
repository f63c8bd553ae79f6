"""Whose Extreme alerts never wait for a second person: by keys, hazards and an area, not
senders."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from shapely.geometry.base import BaseGeometry

from alerting.domain.geometry import ring_shape, union
from alerting.throttle.hazard import classes

_MOST = 1_000

#: Enough for the outline of a country, and compared with every Extreme alert.
_MOST_POINTS = 2_000


def _pattern(value: object) -> object:
    if isinstance(value, str) and 0 < len(value) <= 200:
        return value
    raise ValueError('takes names of keys in a list like ["gauges-*"], each of 1 to 200 characters')


def _hazard(value: object) -> object:
    known = sorted(classes())
    if value == "*" or value in known:
        return value
    raise ValueError(
        f'names {str(value)[:40]}; it takes a list like ["flood"], of {", ".join(known)}'
    )


def _ring(value: object) -> object:
    if isinstance(value, str) and _points(value) is not None:
        return value
    raise ValueError('takes polygons as in CAP, like ["50,8 50,9 51,9 50,8"], the first point last')


def _points(text: str) -> list[tuple[float, float]] | None:
    """The (lat, lon) of a closed ring; None when the text is not one."""
    try:
        points = [(float(a), float(b)) for a, b in (p.split(",") for p in text.split())]
    except ValueError:
        return None
    on_earth = all(abs(lat) <= 90 and abs(lon) <= 180 for lat, lon in points)
    closed = 4 <= len(points) <= _MOST_POINTS and points[0] == points[-1]
    return points if on_earth and closed else None


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _takes(what: str) -> dict[str, Any]:
    return {"takes": what}


class Preauthorised(BaseModel):
    """Extreme alerts of these keys and hazards, all within this area, never wait."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    keys: Annotated[
        tuple[Annotated[str, BeforeValidator(_pattern)], ...], BeforeValidator(_tuple)
    ] = Field(
        ("*",),
        min_length=1,
        max_length=_MOST,
        json_schema_extra=_takes('a list of names of keys, like ["gauges-*", "person:ada"]'),
    )
    hazards: Annotated[
        tuple[Annotated[str, BeforeValidator(_hazard)], ...], BeforeValidator(_tuple)
    ] = Field(
        ("*",),
        min_length=1,
        max_length=_MOST,
        json_schema_extra=_takes('a list of hazards, like ["flood"]'),
    )
    area: Annotated[tuple[Annotated[str, BeforeValidator(_ring)], ...], BeforeValidator(_tuple)] = (
        Field(
            (),
            max_length=100,
            json_schema_extra=_takes('a list of polygons, like ["50,8 50,9 51,9 50,8"]'),
        )
    )


def entries(value: object) -> object:
    """The sections of a policy; a text in their place, as in older policies, is a key's name."""
    several = [value] if isinstance(value, dict) else value
    return tuple(map(_entry, several if isinstance(several, list | tuple) else [None]))


@lru_cache(maxsize=64)
def shape_of(area: tuple[str, ...]) -> BaseGeometry:
    """The ground of checked polygons."""
    return union([ring_shape(points) for text in area if (points := _points(text))])


def _entry(value: object) -> object:
    if isinstance(value, str):
        return {"keys": [value]}
    if isinstance(value, dict | Preauthorised):
        return value
    raise ValueError("takes sections [[storm.preauthorised]] with keys, hazards and area")
