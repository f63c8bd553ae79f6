"""Alarms, events and silences."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field


class AlarmOut(BaseModel):
    """One thing that is, or was, wrong with this system."""

    id: int = Field(description="Its number.")
    kind: str = Field(description="The kind of thing, such as `provider-down`.")
    subject: str = Field(description="The provider, alert or channel that it is about.")
    sentence: str = Field(description="What is wrong, in words.")
    count: int = Field(description="How often it was seen.")
    opened_at: datetime = Field(description="When it was first seen.")
    seen_at: datetime = Field(description="When it was last seen.")
    closed_at: datetime | None = Field(description="When it was closed; null while it is open.")
    closed_by: str = Field(description="Who closed it; empty while it is open.")


class OpenAlarms(BaseModel):
    """What is wrong now."""

    alarms: list[AlarmOut] = Field(description="The newest first, at most 200.")


class EventQuestion(BaseModel):
    """Two alerts that may be of one event, for a person to decide."""

    id: int = Field(description="Its number.")
    alert_id: UUID = Field(description="The alert that is asked about.")
    identifier: str = Field(description="Its CAP identifier.")
    sender: str = Field(description="Its CAP sender.")
    event_id: UUID = Field(description="The event it may be of.")
    score: float = Field(description="How like they are, from 0 to 1.")
    sentence: str = Field(description="The question, in words.")
    created_at: datetime = Field(description="When it was first asked.")
    answer: Literal["", "merged", "apart"] = Field(description="Empty while it is open.")
    answered_by: str = Field(description="Who answered; empty while it is open.")


class OpenQuestions(BaseModel):
    """What a person should decide."""

    questions: list[EventQuestion] = Field(description="The newest first, at most `limit`.")


class EventChosen(BaseModel):
    """The event that an alert is of now."""

    event: UUID = Field(description="Our id of the event.")


class SilenceMatcher(BaseModel):
    """What an alert must say for the silence to hold for it."""

    field: str = Field(description="A CAP name, such as `event`.")
    op: Literal["=", "!=", "~", "!~"] = Field(description="Is, is not, like, unlike.")
    value: str = Field(description="What it is compared with; case does not count.")


class SilenceArea(BaseModel):
    """Ground, as in CAP's JSON form. What was left out is absent."""

    polygon: list[str] | None = Field(None, description="Rings of `lat,lon` pairs.")
    circle: list[str] | None = Field(None, description="`lat,lon radius`, the radius in km.")
    geocode: list[dict[str, str]] | None = Field(
        None, description="Objects of `valueName` and `value`."
    )


class SilenceOut(BaseModel):
    """One silence."""

    id: UUID = Field(description="Our id of the silence.")
    matchers: list[SilenceMatcher] = Field(description="It holds for alerts that fit all of them.")
    area: SilenceArea | None = Field(description="Null: everywhere.")
    starts_at: datetime = Field(description="It holds from then on.")
    ends_at: datetime = Field(description="It holds until then, at most seven days later.")
    comment: str = Field(description="Why it was made.")
    created_by: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    ended_by: str | None = Field(description="Who ended it before its time; null: nobody.")
    ended_at: datetime | None = Field(description="When it was ended before its time.")


class Silences(BaseModel):
    """The silences."""

    silences: list[SilenceOut] = Field(description="The newest first, at most 1,000.")
