"""Explain: one line per decision about one citizen and one alert, in a coordinator's words."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels.base import ERROR_CLASSES
from alerting.domain.decision import Reason
from alerting.domain.delivery import DeliveryState
from alerting.errors import NotFound
from alerting.store import alerts, deliveries

_STATES = {
    DeliveryState.PLANNED: "waits to be sent",
    DeliveryState.DEFERRED: "is held until later",
    DeliveryState.ATTEMPTING: "is being sent",
    DeliveryState.IN_DOUBT: "may have been sent; nobody knows yet",
    DeliveryState.ACCEPTED: "was taken by the provider",
    DeliveryState.DELIVERED: "reached the citizen",
    DeliveryState.FAILED: "could not be delivered",
    DeliveryState.SUPPRESSED: "was not sent",
    DeliveryState.EXPIRED: "was not sent in time",
    DeliveryState.REVOKED: "was called back before it was sent",
}

_OTHER = {
    "": "",
    "in-doubt": "No receipt came in time to say whether the provider took it.",
    "worker-died": "A worker died while the provider was being called.",
    "poisoned": "Its chunk ended several workers and was set aside.",
    "undelivered": "The provider reports that it could not deliver it.",
}


def sentence(reason: str) -> str:
    """What a reason in the ledger means."""
    if reason in ERROR_CLASSES:
        return ERROR_CLASSES[reason].operator_text
    if reason in set(Reason):
        return Reason(reason).sentence
    return _OTHER.get(reason, reason)


async def explain(
    connection: AsyncConnection, alert_id: UUID, citizen: str
) -> list[dict[str, str]]:
    """One line per delivery of this alert to this citizen, or one that says why there is none.

    citizen: the register's key. Raises NotFound for a citizen or alert that is not there.
    """
    stored = await alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
    found = await deliveries.of_citizen(connection, alert_id, citizen)
    if found is None:
        raise NotFound(f"There is no citizen {citizen}.")
    if not found:
        text = (
            f"The alert is not sent to anyone: {stored.state_reason}."
            if stored.state_reason and stored.planned_at is None
            else "No delivery was planned: the citizen was outside its area or had no address."
            if stored.planned_at is not None
            else "The audience is still being planned."
        )
        return [{"channel": "", "state": "", "reason": "", "sentence": text}]
    return [
        {
            "channel": d["channel"],
            "state": d["state"],
            "reason": d["reason"],
            "sentence": _line(d["channel"], d["state"], d["reason"], d["code"], d["tries"]),
        }
        for d in found
    ]


def _line(channel: str, state: str, reason: str, code: str, tries: int) -> str:
    parts = [f"The {channel} {_STATES[DeliveryState(state)]}."]
    if reason and reason != Reason.NEW:
        parts.append(sentence(reason))
    if code:
        parts.append(f"The provider's code was {code}.")
    if tries > 1:
        parts.append(f"It was tried {tries} times.")
    return " ".join(parts)
