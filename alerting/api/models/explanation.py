"""Why one citizen was or was not notified."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from alerting.domain.delivery import DeliveryState


class RuleAnswer(BaseModel):
    """What one throttle rule said. The first in order that has an answer decides."""

    rule: str = Field(description="The rule's name.")
    question: str = Field(description="What it asks.")
    answer: str = Field(description="Its answer, in words.")
    decides: bool = Field(description="True of the one rule that decided.")


class DeliveryExplained(BaseModel):
    """One delivery, or the one sentence that says why there is none."""

    channel: str = Field(description="`sms`, `email` or `push`; empty where there is no delivery.")
    state: DeliveryState | Literal[""] = Field(description="What has become of it.")
    reason: str = Field(description="The reason in the ledger; may be empty.")
    sentence: str = Field(description="What happened and why, in words.")
    before: str = Field(description="What the citizen knew of the event before it.")
    after: str = Field(description="What they know after it.")
    rules: list[RuleAnswer] = Field(description="Every rule's answer, in order.")


class WhyAnswer(BaseModel):
    """One alert and one citizen."""

    alert: UUID = Field(description="Our id of the alert.")
    citizen: str = Field(description="The register's key.")
    deliveries: list[DeliveryExplained] = Field(description="One for each channel.")
