"""One delivery of a replay: an alert, a citizen it concerns, and its outcome."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from alerting.domain.alert import Alert, Info, Severity
from alerting.domain.decision import Action, Reason
from alerting.domain.info_selection import info_for

#: Channels that can interrupt people; email does not.
WAKING = frozenset({"push", "sms"})


class Outcome(StrEnum):
    """The outcome of a delivery for its citizen."""

    #: It reached and interrupted them, if its channel can.
    SENT = "sent"
    #: It reached them without interrupting.
    SILENT = "silent"
    #: It reached them inside a digest.
    DIGESTED = "digested"
    #: Not sent: the decision was to drop it.
    DROPPED = "dropped"
    #: Not sent: it had to be silent, which its channel cannot be.
    RECORDED = "recorded"
    #: Not sent: it expired while it waited.
    EXPIRED = "expired"
    #: Not sent: another alert superseded it while it waited.
    SUPERSEDED = "superseded"

    @property
    def reached(self) -> bool:
        return self in _REACHED


_REACHED = frozenset({Outcome.SENT, Outcome.SILENT, Outcome.DIGESTED})


@dataclass(frozen=True, slots=True)
class Concerned:
    """One citizen an alert concerns.

    Attributes:
        info_no, area_no: The info and area that apply; -1 when none does (the notice of a cancel).
        places: The bits of the citizen's places and geocodes that are hit, as in the live path.
        area: The geocode hit, as `name=value`, or the area's description.
        spots: Like `places`, with a distinct bit for each.
    """

    citizen: int
    info_no: int
    area_no: int
    places: int
    area: str
    spots: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """An alert for one citizen by one channel, and its first decision.

    Attributes:
        event, thread, state_before, state_after: The throttle's terms, for the detail file.
    """

    alert: Alert
    concerned: Concerned
    channel: str
    action: Action
    reason: Reason
    event: Hashable = ""
    thread: str = ""
    state_before: str = ""
    state_after: str = ""

    @property
    def citizen(self) -> int:
        return self.concerned.citizen

    @property
    def info(self) -> Info | None:
        return info_for(self.alert, self.concerned.info_no)

    @property
    def severity(self) -> Severity:
        return Severity.UNKNOWN if self.info is None else self.info.severity

    @property
    def ends(self) -> bool:
        """True when it says that a danger is over or never existed."""
        return self.alert.ends if self.info is None else self.alert.ends_in(self.info)

    @property
    def wakes(self) -> bool:
        """True where its channel can interrupt."""
        return self.channel in WAKING
