"""What submitting and cancelling answer."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane


class RepairMade(BaseModel):
    """Something in the document that was read as what was meant."""

    where: str = Field(description="The element, as a path.")
    what: str = Field(description="What was changed.")


class Submission(BaseModel):
    """An alert that was accepted, now or before."""

    id: UUID = Field(description="Our id of the alert.")
    created: bool = Field(description="False where it had been accepted before.")
    lane: Lane = Field(description="The queue it goes by.")
    state: AlertState = Field(
        description="`accepted`, or `held` until a second person approves it; of an alert accepted "
        "before, what has become of it."
    )
    notes: list[str] = Field(description="What the coordinator should know, a sentence each.")
    ends_nothing: bool = Field(
        description="It ends a danger, and nothing known here that it could end."
    )
    repairs: list[RepairMade] = Field(description="What was repaired in the document.")


class StandingAlert(BaseModel):
    """Another alert of the same event that is still in force."""

    id: UUID = Field(description="Our id of the alert.")
    identifier: str = Field(description="CAP identifier.")
    sender: str = Field(description="CAP sender.")
    citizens: int = Field(
        description="Citizens who do not hear that the danger is over while this is in force."
    )


class Cancellation(BaseModel):
    """What a cancel did, or in a dry run would do."""

    id: UUID = Field(description="The alert that was named.")
    state: AlertState = Field(description="Its state now.")
    reason: str = Field(description="Why it is in that state; empty where there is nothing to say.")
    ended: list[UUID] = Field(description="The alerts this ended; empty where they had ended.")
    notice: Submission | None = Field(
        description="The Cancel that goes out; null in a dry run, and where nothing was to end."
    )
    dry_run: bool = Field(description="Nothing was changed.")
    citizens: int = Field(
        description="Citizens who were, or may have been, notified and do not know yet that it is "
        "over."
    )
    reached: dict[str, int] = Field(description="Their addresses, by channel.")
    standing: list[StandingAlert] = Field(
        description="What keeps some of them from hearing the end now."
    )
