"""Options and output that `alerting people` and `alerting keys` share for rights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from shapely.geometry.base import BaseGeometry

from alerting.domain.alert import Status
from alerting.domain.ground import read_geojson
from alerting.domain.principal import RIGHTS, Principal
from alerting.errors import BadInput

F = TypeVar("F", bound=Callable[..., Any])

ALL = tuple(Status)

#: Enough for an area with the largest permitted number of points.
_MAX_BYTES = 2_000_000


def senders(command: F) -> F:
    return click.option(
        "--sender", "senders", multiple=True, help="A pattern of CAP senders; may be repeated."
    )(command)


def statuses(command: F) -> F:
    return click.option(
        "--status",
        "statuses",
        multiple=True,
        type=click.Choice([s.value for s in Status], case_sensitive=False),
        help="A status it may use; may be repeated. All where none is given.",
    )(command)


def area(command: F) -> F:
    return click.option(
        "--area", "area", type=click.Path(), help="A GeoJSON file: alerts only within it."
    )(command)


def read_statuses(given: tuple[str, ...]) -> tuple[Status, ...]:
    return tuple(map(Status, given))


def read_area(file: str | None) -> BaseGeometry | None:
    """The area in a GeoJSON file.

    Raises:
        BadInput
    """
    if file is None:
        return None
    try:
        with Path(file).open("rb") as f:
            data = f.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise BadInput(f"{file} is larger than {_MAX_BYTES:,} bytes.", remedy="Simplify it.")
        return read_geojson(json.loads(data))
    except OSError as e:
        raise BadInput(
            f"{file} cannot be read: {e.strerror or e}.", remedy="Check the path and its rights."
        ) from e
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{file} is no JSON.", remedy="Give a GeoJSON file.") from e


def to_json(principal: Principal) -> dict[str, Any]:
    """A principal's authority, for programs."""
    return {
        "rights": [r for r in RIGHTS if principal.may(r)],
        "senders": list(principal.senders),
        "statuses": [s.value for s in Status if s in principal.statuses],
        "limited_to_an_area": principal.area is not None,
    }


def in_words(principal: Principal) -> str:
    """A principal's authority, in one line."""
    words = [" ".join(r for r in RIGHTS if principal.may(r))]
    if principal.senders != ("*",):
        words.append(f"for {' '.join(principal.senders) or 'nobody'}")
    if principal.statuses != frozenset(Status):
        words.append(f"as {' '.join(s for s in Status if s in principal.statuses)}")
    if principal.area is not None:
        words.append("within an area")
    return ", ".join(words)
