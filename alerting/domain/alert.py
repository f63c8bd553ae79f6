"""The alert as CAP 1.2 defines it (OASIS CAP-v1.2-os, July 2010), as frozen values.

Names follow the standard's elements in snake case. Instants are aware (any offset); the sender's
offset is kept because CAP displays it. Coordinates are WGS 84 (latitude, longitude) in degrees,
radii in kilometres, altitudes in feet above mean sea level, as in the standard.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class MsgType(StrEnum):
    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"
    ACK = "Ack"
    ERROR = "Error"


class Scope(StrEnum):
    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    PRIVATE = "Private"


class Category(StrEnum):
    GEO = "Geo"
    MET = "Met"
    SAFETY = "Safety"
    SECURITY = "Security"
    RESCUE = "Rescue"
    FIRE = "Fire"
    HEALTH = "Health"
    ENV = "Env"
    TRANSPORT = "Transport"
    INFRA = "Infra"
    CBRNE = "CBRNE"
    OTHER = "Other"


class ResponseType(StrEnum):
    SHELTER = "Shelter"
    EVACUATE = "Evacuate"
    PREPARE = "Prepare"
    EXECUTE = "Execute"
    AVOID = "Avoid"
    MONITOR = "Monitor"
    ASSESS = "Assess"
    ALL_CLEAR = "AllClear"
    NONE = "None"


class Urgency(StrEnum):
    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"

    @property
    def rank(self) -> int:
        """0 is the most severe; Unknown ranks last."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Certainty(StrEnum):
    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


#: The parameter with the end of the danger, where `expires` is only that of the message.
EVENT_ENDS = "eventEndingTime"


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A `valueName`/`value` pair: eventCode, parameter or geocode."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


#: The parameter with which a sender asks for everybody to be notified again.
TELL_AGAIN = NamedValue("alerting:tellAgain", "true")


@dataclass(frozen=True, slots=True)
class Reference:
    """The CAP reference (sender, identifier, sent) of an earlier alert; `sent` compares as an
    instant."""

    sender: str
    identifier: str
    sent: datetime


@dataclass(frozen=True, slots=True)
class Circle:
    lat: float
    lon: float
    radius_km: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """A ring of (lat, lon), first point repeated last; at least four points."""

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Area:
    area_desc: str
    polygons: tuple[Polygon, ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[NamedValue, ...] = ()
    altitude: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    resource_desc: str
    mime_type: str
    size: int | None = None
    uri: str | None = None
    deref_uri: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Info:
    categories: tuple[Category, ...]
    event: str
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    language: str = "en-US"
    response_types: tuple[ResponseType, ...] = ()
    audience: str | None = None
    event_codes: tuple[NamedValue, ...] = ()
    effective: datetime | None = None
    onset: datetime | None = None
    expires: datetime | None = None
    sender_name: str | None = None
    headline: str | None = None
    description: str | None = None
    instruction: str | None = None
    web: str | None = None
    contact: str | None = None
    parameters: tuple[NamedValue, ...] = ()
    resources: tuple[Resource, ...] = ()
    areas: tuple[Area, ...] = ()

    @property
    def tell_again(self) -> bool:
        """True when the sender asks for everybody to be notified, whatever was announced to them
        before."""
        return any(
            p.name.casefold() == TELL_AGAIN.name.casefold()
            and p.value.strip().casefold() == TELL_AGAIN.value
            for p in self.parameters
        )

    @property
    def ends_danger(self) -> bool:
        """True when this info says the danger is over: AllClear, or urgency Past."""
        return self.urgency is Urgency.PAST or ResponseType.ALL_CLEAR in self.response_types

    @property
    def until(self) -> datetime | None:
        """When the danger ends; None when its sender does not say.

        This is the parameter EVENT_ENDS, which US senders use, else `expires`. An `expires` before
        the onset is the end of the message only.
        """
        for p in self.parameters:
            if p.name == EVENT_ENDS and (given := instant(p.value)) is not None:
                return given
        if self.expires is None or self.onset is None or self.onset < self.expires:
            return self.expires
        return None


def instant(text: str) -> datetime | None:
    """The instant in a text; None when there is none, or it has no offset."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


@dataclass(frozen=True, slots=True)
class Repair:
    """One deviation from CAP 1.2 that was repaired while reading.

    Attributes:
        where: A path such as `info[1]/area[2]/polygon[1]`, counted from one.
        what: What was done.
    """

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something that was repaired while reading although it decides whom an alert reaches, when or
    how loudly.

    An alert from a feed goes out as repaired. A person is asked to submit it again.

    Attributes:
        where: What is wrong, as a path.
        remedy: What was probably meant.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Alert:
    identifier: str
    sender: str
    sent: datetime
    status: Status
    msg_type: MsgType
    scope: Scope
    source: str | None = None
    restriction: str | None = None
    addresses: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    note: str | None = None
    references: tuple[Reference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()
    #: Deviations from CAP's schema that were repaired.
    repairs: tuple[Repair, ...] = ()
    #: Values that the schema permits but that were read differently, because they made no sense as
    #: written: a year of the Buddhist era, an unclosed ring. Not part of what the alert says.
    remarks: tuple[Repair, ...] = field(default=(), compare=False)
    #: Identifiers in `references` that are not complete CAP references.
    loose_references: tuple[str, ...] = field(default=(), compare=False)
    #: What a person who submits this is asked to correct. It is not stored.
    unclear: tuple[Unclear, ...] = field(default=(), compare=False)

    def told_again(self) -> Alert:
        """The same alert with its sender's request to notify everybody again."""
        return replace(
            self,
            infos=tuple(
                i if i.tell_again else replace(i, parameters=(*i.parameters, TELL_AGAIN))
                for i in self.infos
            ),
        )

    def ends_in(self, info: Info) -> bool:
        """True when this info says that the danger is over.

        Every info of a Cancel does, and an Update's info that has expired when it is sent: national
        weather services end their warnings that way.
        """
        return (
            self.msg_type is MsgType.CANCEL
            or info.ends_danger
            or (
                self.msg_type is MsgType.UPDATE
                and info.expires is not None
                and info.expires <= self.sent
            )
        )

    @property
    def ends(self) -> bool:
        """True when the whole alert says that its danger is over."""
        if not self.infos:
            return self.msg_type is MsgType.CANCEL
        return all(self.ends_in(info) for info in self.infos)

    @property
    def may_end_earlier(self) -> bool:
        """True for what can end or replace earlier alerts: an Update, a Cancel, any end."""
        return self.msg_type in {MsgType.UPDATE, MsgType.CANCEL} or self.ends

    @property
    def triple(self) -> Reference:
        """The CAP reference by which other alerts refer to this one."""
        return Reference(self.sender, self.identifier, self.sent)

    @property
    def severity(self) -> Severity:
        """The highest severity of any info; Unknown when there is none."""
        return min((i.severity for i in self.infos), key=lambda s: s.rank, default=Severity.UNKNOWN)

    @property
    def expires_at(self) -> datetime | None:
        """When the last info ends; None when any info has no end."""
        ends = [i.expires for i in self.infos]
        return None if not ends or None in ends else max(e for e in ends if e is not None)

    @property
    def is_drill(self) -> bool:
        """True for everything that is not Actual: it goes to the rosters that its addresses
        name."""
        return self.status is not Status.ACTUAL

    @property
    def for_public(self) -> bool:
        """True only for Actual alerts of public scope; all others have named participants."""
        return self.status is Status.ACTUAL and self.scope is Scope.PUBLIC
