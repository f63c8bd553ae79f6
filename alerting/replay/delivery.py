"""What a replay knows of one delivery: an alert, a citizen it concerns, and what became of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alerting.domain.alert import Alert, Info, Severity
from alerting.domain.decision import Reason, Verdict
from alerting.domain.said import said
from alerting.replay.concern import Concerned


class Outcome(StrEnum):
    """How a delivery ended for its citizen."""

    #: It interrupted them.
    SENT = "sent"
    #: It reached them without interrupting.
    SILENT = "silent"
    #: It reached them inside a digest.
    DIGESTED = "digested"
    #: They never got it: the decision said so.
    DROPPED = "dropped"
    #: They never got it: its time ran out while it waited.
    EXPIRED = "expired"
    #: They never got it: another alert took its place while it waited.
    SUPERSEDED = "superseded"

    @property
    def reached(self) -> bool:
        return self in _REACHED


_REACHED = frozenset({Outcome.SENT, Outcome.SILENT, Outcome.DIGESTED})

#: What a decision that is carried out at once comes to; the others wait.
AT_ONCE = {
    Verdict.SEND: Outcome.SENT,
    Verdict.SILENT: Outcome.SILENT,
    Verdict.DROP: Outcome.DROPPED,
}


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """An alert for one citizen, and what was first decided.

    expires_at: the end of what this citizen would be told. event: what the throttle took the alert
    to be about. incident: what it is about in truth; None where nobody knows. thread, state_before,
    state_after: the throttle's words.
    """

    alert: Alert
    concerned: Concerned
    expires_at: datetime
    verdict: Verdict
    reason: Reason
    event: Hashable
    incident: str | None = None
    thread: str = ""
    state_before: str = ""
    state_after: str = ""

    @property
    def citizen(self) -> int:
        return self.concerned.citizen

    @property
    def info(self) -> Info | None:
        return said(self.alert, self.concerned.info_no)

    @property
    def severity(self) -> Severity:
        return Severity.UNKNOWN if self.info is None else self.info.severity

    @property
    def ends(self) -> bool:
        """True where it says that a danger is over or was none."""
        return self.alert.ends if self.info is None else self.alert.ends_in(self.info)
