"""What a replay knows of one delivery: an alert, a citizen it concerns, and what became of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from alerting.domain.alert import Alert, Info, Severity
from alerting.domain.decision import Action, Reason
from alerting.domain.info_selection import info_for

#: Channels that wake people; nobody is woken by mail.
WAKING = frozenset({"push", "sms"})


class Outcome(StrEnum):
    """How a delivery ended for its citizen."""

    #: It reached them as loud as its channel is.
    SENT = "sent"
    #: It reached them without interrupting.
    SILENT = "silent"
    #: It reached them inside a digest.
    DIGESTED = "digested"
    #: They never got it: the decision said so.
    DROPPED = "dropped"
    #: They never got it: it was to be silent, which its channel cannot be.
    RECORDED = "recorded"
    #: They never got it: its time ran out while it waited.
    EXPIRED = "expired"
    #: They never got it: another alert took its place while it waited.
    SUPERSEDED = "superseded"

    @property
    def reached(self) -> bool:
        return self in _REACHED


_REACHED = frozenset({Outcome.SENT, Outcome.SILENT, Outcome.DIGESTED})


@dataclass(frozen=True, slots=True)
class Concerned:
    """One citizen an alert concerns.

    info_no, area_no: what of the alert applies to them; -1 where none does (a cancel's notice).
    places: which of the citizen's places and geocodes are hit, as the live path's bits. spots: the
    same with a bit of its own for each. area: the geocode hit as `name=value`, or the area's
    description.
    """

    citizen: int
    info_no: int
    area_no: int
    places: int
    area: str
    spots: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """An alert for one citizen by one channel, and what was first decided.

    event, thread, state_before, state_after: the throttle's words, for whoever reads the detail.
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
        """True where it says that a danger is over or was none."""
        return self.alert.ends if self.info is None else self.alert.ends_in(self.info)

    @property
    def wakes(self) -> bool:
        """True where its channel can interrupt."""
        return self.channel in WAKING
