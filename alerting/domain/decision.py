"""What the throttle decides for one delivery, always with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    #: Goes out and interrupts.
    SEND = "send"
    #: Goes out without interrupting, where the channel can; else it is only recorded.
    SILENT = "silent"
    #: Is evaluated again at `until`.
    DEFER = "defer"
    #: Goes into the citizen's digest at `until`.
    DIGEST = "digest"
    DROP = "drop"


class Reason(StrEnum):
    """Why a decision was made.

    The value is recorded in the ledger and never changes; the sentence is for coordinators.
    """

    # What an alert changes for the citizen.
    NEW = "new"
    ESCALATED = "escalated"
    ENTERED = "entered"
    EASED = "eased"
    URGENCY = "urgency"
    RESPONSE = "response"
    INSTRUCTION = "instruction"
    ONSET = "onset"
    CERTAINTY = "certainty"
    EXTENDED = "extended"
    ENDED = "ended"
    REPEATED = "repeated"
    INSISTED = "insisted"
    TEXT_ONLY = "text-only"
    IDENTICAL = "identical"
    COVERED = "covered"
    NEVER_TOLD = "never-told"
    ALREADY_ENDED = "already-ended"
    GOES_ON = "goes-on"
    ON_ITS_WAY = "on-its-way"
    PARTLY_ENDED = "partly-ended"
    OVER = "over"
    # Why it is withheld or delayed.
    NOT_A_PARTICIPANT = "not-a-participant"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    OPTED_OUT = "opted-out"
    UNVERIFIED = "unverified"
    SUSPENDED = "suspended"
    ALREADY_TOLD = "already-told"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    GROUPED = "grouped"
    QUIET_HOURS = "quiet-hours"
    BUDGET_HOUR = "budget-hour"
    BUDGET_DAY = "budget-day"
    NO_BUDGET = "no-budget"
    DIGESTED = "digested"
    # Why it is sent without the rules.
    UNREACHED = "unreached"
    UNJUDGED = "unjudged"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NEW: "The citizen had not been notified of this danger.",
    Reason.ESCALATED: "The danger is more severe than the last notification to the citizen said.",
    Reason.ENTERED: "The danger now affects another of the citizen's places.",
    Reason.EASED: "The danger is less severe than the last notification to the citizen said.",
    Reason.URGENCY: "The urgency had changed: how much time is left to act.",
    Reason.RESPONSE: "The recommended response had changed.",
    Reason.INSTRUCTION: "The headline or the instruction had changed.",
    Reason.ONSET: "The danger begins earlier than the last notification to the citizen said.",
    Reason.CERTAINTY: "The certainty of the danger had changed.",
    Reason.EXTENDED: "The danger lasts longer than the last notification to the citizen said.",
    Reason.ENDED: "The danger that the citizen had been notified of was over.",
    Reason.REPEATED: "The same severe danger was announced again a while after the last message.",
    Reason.INSISTED: "Its sender asked for everybody to be notified again.",
    Reason.TEXT_ONLY: "Only wording or times had changed, which does not interrupt anybody.",
    Reason.IDENTICAL: "It said nothing new to the citizen.",
    Reason.COVERED: "Another sender had announced the event to the citizen, at this severity.",
    Reason.NEVER_TOLD: "The citizen had never been notified of the danger that it ends.",
    Reason.ALREADY_ENDED: "The citizen had already been notified that the danger was over.",
    Reason.GOES_ON: "Another alert of the same event was still in force for the citizen.",
    Reason.ON_ITS_WAY: "The alert that it ends was still being sent to the citizen.",
    Reason.PARTLY_ENDED: "This danger ended while a less severe alert of the event was in force.",
    Reason.OVER: "The danger was over before the citizen's digest announced it.",
    Reason.NOT_A_PARTICIPANT: "The citizen is on none of the rosters that the drill is for.",
    Reason.EXPIRED: "The alert had expired.",
    Reason.CANCELLED: "The alert had been cancelled.",
    Reason.SUPERSEDED: "A newer version of the alert had replaced this one.",
    Reason.OPTED_OUT: "The citizen does not consent to messages at this address.",
    Reason.UNVERIFIED: "The address has never been verified.",
    Reason.SUSPENDED: "The address is suspended because the provider said it is dead.",
    Reason.ALREADY_TOLD: "The same endpoint had already been notified of this alert.",
    Reason.SILENCED: "A coordinator's silence covers it.",
    Reason.INHIBITED: "The citizen had been notified of a more severe alert for the same hazard.",
    Reason.GROUPED: "It waited a short time to be grouped with its copies and corrections.",
    Reason.QUIET_HOURS: "It was within the citizen's quiet hours.",
    Reason.BUDGET_HOUR: "The citizen had been interrupted a short time before.",
    Reason.BUDGET_DAY: "The citizen had reached the daily limit for messages of this severity.",
    Reason.NO_BUDGET: "The citizens' budgets could not be read; it is evaluated again shortly.",
    Reason.DIGESTED: "It went out in the citizen's digest.",
    Reason.UNREACHED: "Another channel had not delivered it to the citizen in time.",
    Reason.UNJUDGED: "The throttle failed; a high-priority alert is sent without it.",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """The throttle's answer for one delivery.

    Attributes:
        until: When a deferred delivery is evaluated again, or the slot of the digest it joins.
    """

    action: Action
    reason: Reason
    until: datetime | None = None
