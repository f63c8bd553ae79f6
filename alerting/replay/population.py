"""The citizens of a replay, their channels, and the time on their own clocks.

Clocks use only the citizen's record and the policy's defaults, not the throttle: the oracle must
not learn from the throttle whether a quiet hour was violated.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from alerting.audience.bad_row import BadRow
from alerting.audience.register import check_header, read_row
from alerting.channels import registry
from alerting.domain.alert import Alert, Circle, NamedValue, Polygon
from alerting.domain.geometry import ring_shape
from alerting.errors import BadInput
from alerting.store.citizens.import_citizens import RegisterRow
from alerting.throttle.policy.parse import Policy


@dataclass(frozen=True, slots=True)
class Place:
    lat: float
    lon: float
    radius_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Citizen:
    """One citizen.

    Attributes:
        name: The register's key, or the place that a generated citizen stands for.
        time_zone: None for the policy's.
        quiet: Local hours in which only high-priority alerts may interrupt; None for the policy's.
        channels: In order of preference.
    """

    name: str
    places: tuple[Place, ...] = ()
    geocodes: tuple[NamedValue, ...] = ()
    language: str = "en"
    time_zone: str | None = None
    quiet: tuple[time, time] | None = None
    channels: tuple[str, ...] = ("push",)


@dataclass(frozen=True, slots=True)
class Population:
    """Citizens by number; `refused` gives the reason for each unusable line of a register."""

    citizens: list[Citizen]
    refused: list[str] = field(default_factory=list)


def generated(alerts: Iterable[Alert]) -> Population:
    """One citizen per distinct geocode, and per distinct shape of an area without geocodes."""
    geocodes: dict[NamedValue, None] = {}
    shapes: dict[Polygon | Circle, None] = {}
    for alert in alerts:
        for info in alert.infos:
            for area in info.areas:
                geocodes |= dict.fromkeys(area.geocodes)
                if not area.geocodes:
                    shapes |= dict.fromkeys((*area.polygons, *area.circles))
    citizens = [Citizen(str(g), geocodes=(g,)) for g in geocodes]
    names: dict[str, int] = {}
    for shape in shapes:
        place = _inside(shape)
        name = f"{place.lat:.5f},{place.lon:.5f}"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name += f" ({names[name]})"
        citizens.append(Citizen(name, places=(place,)))
    return Population(citizens)


def _inside(shape: Polygon | Circle) -> Place:
    if isinstance(shape, Circle):
        return Place(shape.lat, shape.lon)
    point = ring_shape(shape.points).representative_point()
    return Place(point.y, point.x)


def from_register(path: Path) -> Population:
    """The citizens of a register's CSV file, as `alerting citizens import` reads it.

    A bad line is skipped and listed with its reason.

    Raises:
        BadInput: When the file cannot be read, has a wrong header or has no usable line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Check the path.") from e
    except UnicodeDecodeError as e:
        raise BadInput(f"{path} is not UTF-8 text.", remedy="Save it as UTF-8.") from e
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [c.strip() for c in lines.fieldnames or ()]
        check_header(columns)
        lines.fieldnames = columns
        citizens, refused = _rows(lines)
    except csv.Error as e:
        raise BadInput(f"{path}, line {lines.line_num} is no CSV: {e}.") from e
    if not citizens:
        first = f" The first: {refused[0]}" if refused else ""
        raise BadInput(f"No line of {path} describes a citizen.{first}")
    return Population(citizens, refused)


def _rows(lines: csv.DictReader[str]) -> tuple[list[Citizen], list[str]]:
    citizens: dict[str, Citizen] = {}
    refused: list[str] = []
    for line in lines:
        if None in line or any(v is None for v in line.values()):
            refused.append(f"line {lines.line_num}: it has more or fewer fields than the header.")
            continue
        try:
            row = read_row(line, loopback_push=True)
        except BadRow as e:
            refused.append(f"line {lines.line_num}: {e.detail}")
            continue
        if row.ref in citizens:
            refused.append(f"line {lines.line_num}: ref {row.ref!r} stands on an earlier line too.")
            continue
        quiet = (
            None
            if row.quiet_from is None or row.quiet_to is None
            else (row.quiet_from, row.quiet_to)
        )
        citizens[row.ref] = Citizen(
            row.ref,
            places=tuple(Place(p.lat, p.lon, p.radius_m) for p in row.places),
            geocodes=tuple(NamedValue(n, v) for n, v in row.geocodes),
            language=row.language,
            time_zone=row.time_zone,
            quiet=quiet,
            channels=_channels(row),
        )
    return list(citizens.values()), refused


def _channels(row: RegisterRow) -> tuple[str, ...]:
    """The channels of the citizen's usable addresses, in order; push without any address."""
    theirs = [a.channel for a in row.addresses if a.consent and a.verified]
    if not row.addresses:
        theirs = list(row.channels) or ["push"]
    order = [*row.channels, *theirs]
    return tuple(dict.fromkeys(sorted(theirs, key=order.index)))


#: Whether each channel can be silent, as in the live path (`providers.failover`).
CAN_BE_SILENT: dict[str, bool] = {s.name: s.can_be_silent for s in registry.specs()}

_MIXED = (("push",), ("sms",), ("email",), ("push", "sms"), ("sms", "email"))

#: The channels of each mix, assigned to the citizens in rotation.
MIXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "push": (("push",),),
    "sms": (("sms",),),
    "mixed": _MIXED,
}


def mixes(words: str) -> list[str]:
    """The mixes named in a list such as `push,sms,mixed`.

    Raises:
        BadInput: For an unknown mix.
    """
    names = list(dict.fromkeys(w.strip() for w in words.split(",")))
    for name in names:
        if name not in MIXES:
            raise BadInput(
                f"There is no mix of channels {name!r}.", remedy=f"Choose of {', '.join(MIXES)}."
            )
    return names


def with_channels(population: Population, mix: str) -> Population:
    """The same citizens, with the channels of a mix assigned in rotation."""
    turns = MIXES[mix]
    citizens = [
        replace(c, channels=turns[no % len(turns)]) for no, c in enumerate(population.citizens)
    ]
    return Population(citizens, population.refused)


def used(channels: tuple[str, ...], *, every: bool) -> tuple[str, ...]:
    """The channels an alert goes out by: all, or the first in order (`dispatch.plan`)."""
    return channels if every else channels[:1]


class Clocks:
    """The local time of every citizen of a population; the policy's time zone is the default."""

    def __init__(self, population: Population, policy: Policy) -> None:
        default = policy.quiet.start, policy.quiet.end
        self._zones: list[tzinfo] = [
            _zone(c.time_zone or policy.quiet.time_zone) for c in population.citizens
        ]
        self._quiet: list[tuple[time, time]] = [c.quiet or default for c in population.citizens]
        # Most calls are for the same instant and many citizens of one time zone.
        self._at: datetime | None = None
        self._locals: dict[tzinfo, datetime] = {}

    def day(self, citizen: int, at: datetime) -> int:
        """The citizen's calendar day, as a number."""
        return self._local(citizen, at).toordinal()

    def quiet(self, citizen: int, at: datetime, until: datetime) -> bool:
        """True in the citizen's quiet hours, if these end before `until`; equal times mean none."""
        start, end = self._quiet[citizen]
        now = self._local(citizen, at)
        night = start <= now.time() < end if start <= end else not end <= now.time() < start
        if not night or start == end:
            return False
        over = datetime.combine(now.date(), end, now.tzinfo)
        return until > (over if over > now else over + timedelta(days=1))

    def _local(self, citizen: int, at: datetime) -> datetime:
        if at != self._at:
            self._at = at
            self._locals.clear()
        zone = self._zones[citizen]
        if zone not in self._locals:
            self._locals[zone] = at.astimezone(zone)
        return self._locals[zone]


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
