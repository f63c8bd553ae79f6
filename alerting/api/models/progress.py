"""How far an alert is: lists, counts and single deliveries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from alerting.domain.alert import MsgType, Scope, Severity, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane


class _AlertHead(BaseModel):
    """What a list and a single alert say alike. Times are with an offset, in ISO 8601."""

    id: UUID = Field(description="Our id of the alert.")
    sender: str = Field(description="CAP sender.")
    identifier: str = Field(description="CAP identifier.")
    status: Status = Field(description="CAP status; only Actual reaches the public.")
    msg_type: MsgType = Field(description="CAP msgType.")
    scope: Scope = Field(description="CAP scope.")
    event: str = Field(description="CAP event of its most severe info; empty without an info.")
    severity: Severity = Field(description="The most severe of its infos.")
    lane: Lane = Field(description="The queue it goes by.")
    state: AlertState = Field(
        description="How far it is; `completed` only once no delivery is open."
    )
    state_reason: str = Field(description="Why it is in that state; may be empty.")
    submitted_at: datetime = Field(description="When it was accepted.")
    expires_at: datetime = Field(description="Nothing is sent from then on.")


class ListedAlert(_AlertHead):
    """One alert of a list."""

    sent: datetime = Field(description="CAP sent.")
    audience: int | None = Field(description="Citizens in its audience; null until it is planned.")


class AlertPage(BaseModel):
    """One page of alerts, the one sent last first."""

    alerts: list[ListedAlert] = Field(description="At most `limit`.")
    next: str | None = Field(description="Give it as `after` for the next page; null on the last.")


class ChannelProgress(BaseModel):
    """One channel's part of an alert. Counts are of deliveries."""

    planned: int = Field(description="All deliveries by this channel.")
    accepted: int = Field(description="Taken by a provider; those delivered are counted too.")
    delivered: int = Field(description="Reported by the provider to have arrived.")
    failed: int = Field(description="Refused or undeliverable for good.")
    open: int = Field(description="Still to be sent, or in doubt.")
    not_sent: dict[str, int] = Field(description="Ended without a provider, by reason.")
    p50_s: float | None = Field(
        description="Median time from submission to acceptance, in seconds; null before any."
    )
    p95_s: float | None = Field(description="The 95th percentile of it, in seconds.")
    p99_s: float | None = Field(description="The 99th percentile of it, in seconds.")
    last_s: float | None = Field(description="The longest of it, in seconds.")


class AlertProgress(_AlertHead):
    """One alert and how far it is."""

    sent_at: datetime = Field(description="CAP sent.")
    planned_at: datetime | None = Field(description="When its whole audience was planned.")
    finished_at: datetime | None = Field(description="When nothing was left to do.")
    audience: int = Field(description="Citizens in its audience, as far as it is planned.")
    channels: dict[str, ChannelProgress] = Field(description="By channel: `sms`, `email`, `push`.")
    deferred: dict[str, int] = Field(
        description="Deliveries that wait for a later time, by reason."
    )
    waits_until: datetime | None = Field(
        description="When the next of those is due, where nothing else is left to do."
    )
    unheard: str = Field(
        description="Why nobody hears of it; empty where somebody does, may still, or knows."
    )


class DeliveryRow(BaseModel):
    """One alert for one citizen by one channel. Never an address."""

    id: int = Field(description="Its number; `after` for what follows it.")
    citizen: str | None = Field(description="The register's key; null: no longer in the register.")
    channel: str = Field(description="`sms`, `email` or `push`.")
    state: DeliveryState = Field(description="What has become of it.")
    reason: str = Field(description="Why, such as `new`; may be empty.")
    code: str = Field(description="The provider's own error code; may be empty.")
    possible_duplicate: bool = Field(description="It may have been sent twice.")
    tries: int = Field(description="Calls to a provider that were answered.")
    planned_at: datetime = Field(description="When it was planned.")
    attempted_at: datetime | None = Field(description="When a provider was last called.")
    accepted_at: datetime | None = Field(description="When a provider took it.")
    settled_at: datetime | None = Field(description="When it reached its state for good.")


class DeliveryPage(BaseModel):
    """One page of an alert's deliveries, in the order of their numbers."""

    deliveries: list[DeliveryRow] = Field(description="At most `limit`.")
    next: int | None = Field(description="Give it as `after` for the next page; null on the last.")
