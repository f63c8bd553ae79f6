"""What the throttle decides for one delivery, always with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    SEND = "send"
    SILENT = "silent"
    DEFER = "defer"
    DIGEST = "digest"
    DROP = "drop"


class Reason(StrEnum):
    """Why; each is a line in the ledger and has its sentence for a coordinator."""

    NEW = "new"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    OPTED_OUT = "opted-out"
    UNVERIFIED = "unverified"
    SUSPENDED = "suspended"
    ALREADY_TOLD = "already-told"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NEW: "The citizen had not been told of this alert.",
    Reason.EXPIRED: "The alert had expired.",
    Reason.CANCELLED: "The alert had been cancelled.",
    Reason.SUPERSEDED: "A newer version of the alert had replaced this one.",
    Reason.OPTED_OUT: "The citizen does not consent to messages at this address.",
    Reason.UNVERIFIED: "The address has never been verified.",
    Reason.SUSPENDED: "The address is suspended because the provider said it is dead.",
    Reason.ALREADY_TOLD: "The same endpoint had already been told of this alert.",
}


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reason: Reason
    until: datetime | None = None
