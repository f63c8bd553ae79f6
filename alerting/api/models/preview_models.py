"""What a dry run of a submission answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from alerting.api.models.submission_models import RepairMade
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane

Hears = Literal["at_once", "quietly", "later", "nothing"]


class Estimate(BaseModel):
    """A count. Of a large audience it is estimated from a sample."""

    count: int = Field(description="How many.")
    margin: int = Field(description="95 of 100 samples are no further off; 0: an exact count.")


class FewPeople(BaseModel):
    """All that a key without the right `read` learns of a small audience."""

    fewer_than: int = Field(description="The audience is smaller than this.")


class ReasonEstimate(BaseModel):
    """What becomes of some deliveries and why."""

    hears: Hears = Field(description="What becomes of them.")
    reason: str = Field(description="The reason in the ledger, or `no-address`.")
    deliveries: Estimate = Field(description="How many.")
    sentence: str = Field(description="The reason, in words.")


class SmsSegments(BaseModel):
    """What a text costs by SMS."""

    encoding: Literal["GSM-7", "UCS-2"] = Field(description="How it is encoded.")
    units: int = Field(description="Septets of GSM-7, UTF-16 code units of UCS-2.")
    count: int = Field(description="Segments the provider bills.")


class TextEstimate(BaseModel):
    """One message as it would be sent."""

    channel: str = Field(description="`sms`, `email` or `push`.")
    languages: list[str] = Field(description="Languages of those who would get it.")
    deliveries: Estimate = Field(description="How many would be it.")
    subject: str = Field(description="Subject or title; empty by SMS.")
    text: str = Field(description="The text.")
    sms: SmsSegments | None = Field(description="Of an SMS.")


class SubmissionPreview(BaseModel):
    """What submitting the document would do at this moment. Nothing was changed."""

    dry_run: Literal[True] = Field(description="Always true.")
    id: UUID | None = Field(None, description="Only where it had been accepted before.")
    created: bool = Field(description="False where it had been accepted before.")
    lane: Lane = Field(description="The queue it would go by.")
    state: AlertState = Field(description="`accepted`, or `held` for a second person.")
    notes: list[str] = Field(description="What a submission would note, a sentence each.")
    ends_nothing: bool = Field(
        description="It ends a danger, and nothing known here that it could end."
    )
    repairs: list[RepairMade] = Field(description="What was repaired in the document.")
    odd: list[str] = Field(description="Everything that looks odd, a sentence each.")
    people: Estimate | FewPeople = Field(description="Citizens in the audience.")
    more: bool = Field(description="Counting stopped before all of `people` were counted.")
    hears: dict[Hears, Estimate] = Field(
        description="People by the loudest way they would hear of it."
    )
    channels: dict[str, Estimate] = Field(description="Usable addresses, by channel.")
    languages: dict[str, Estimate] = Field(description="People, by language.")
    untranslated: Estimate = Field(description="People for whose language there is no info.")
    reasons: list[ReasonEstimate] = Field(description="Deliveries, by what becomes of them.")
    ends: list[str] = Field(description="The alerts it would end or replace.")
    silenced_by: list[str] = Field(description="The silences that keep some of it back.")
    texts: list[TextEstimate] = Field(description="The messages, those of most people first.")
    area_km2: float = Field(description="Ground its polygons and circles cover, in km².")
    expires_at: datetime | None = Field(description="Nothing would be sent from then on.")
