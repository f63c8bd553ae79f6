"""Explain: what happened to one alert for one citizen, and what every rule said about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.cap import from_json
from alerting.channels import registry
from alerting.channels.base import ERROR_CLASSES
from alerting.dispatch.evaluation import policies, silences
from alerting.dispatch.evaluation.chunk_evaluator import outsiders_of, subject_of
from alerting.dispatch.evaluation.history import Histories, Known
from alerting.dispatch.evaluation.rule_answers import Answer, answers
from alerting.dispatch.pruned import refuse_pruned
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Reason
from alerting.domain.delivery import DeliveryState
from alerting.errors import NotFound
from alerting.store.alerts import stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import directory, suppressions
from alerting.store.citizens.suppressions import Endpoint
from alerting.store.ledger import deliveries, delivery_queries
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.throttle.evaluator import AlertEvaluator, Subject

_STATES = {
    DeliveryState.PLANNED: "waits to be sent",
    DeliveryState.DEFERRED: "is held until later",
    DeliveryState.IN_DOUBT: "may have been sent; nobody knows yet",
    DeliveryState.ACCEPTED: "was accepted by the provider",
    DeliveryState.DELIVERED: "reached the citizen",
    DeliveryState.FAILED: "could not be delivered",
    DeliveryState.SUPPRESSED: "was not sent",
    DeliveryState.EXPIRED: "was not sent in time",
    DeliveryState.REVOKED: "was revoked before it was sent",
}

_OTHER = {
    "": "",
    "in-doubt": "No receipt came in time to show whether the provider accepted it.",
    "worker-died": "A worker died during the call to the provider.",
    "poisoned": "Its chunk crashed several workers and was set aside.",
    "restored": "The database was restored from a backup; its state was reconstructed afterwards.",
    "looked-up": "The answer was lost; the provider's records show that it accepted the message.",
    "undelivered": "The provider reports that it could not deliver it.",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """One delivery, or the sentence that says why there is none.

    Attributes:
        before, after: The citizen's belief about the event before and after this alert.
    """

    channel: str
    state: str
    reason: str
    sentence: str
    before: str = ""
    after: str = ""
    rules: tuple[Answer, ...] = ()

    def to_json(self) -> dict[str, Any]:
        rules = [
            {"rule": r.rule, "question": r.question, "answer": r.answer, "decides": r.decides}
            for r in self.rules
        ]
        return {
            "channel": self.channel,
            "state": self.state,
            "reason": self.reason,
            "sentence": self.sentence,
            "before": self.before,
            "after": self.after,
            "rules": rules,
        }


def sentence(reason: str) -> str:
    """What a reason in the ledger means."""
    if reason in ERROR_CLASSES:
        return ERROR_CLASSES[reason].operator_text
    if reason in set(Reason):
        return Reason(reason).sentence
    return _OTHER.get(reason, reason)


async def explain(
    connection: AsyncConnection, alert_id: UUID, citizen: str, *, now: datetime
) -> list[Explained]:
    """Explain each delivery of this alert to this citizen, with every rule evaluated again.

    The decision shown is the one in the ledger. The rules are evaluated with what the citizen had
    been notified of by then, and with the policy and silences that are in force now. When nothing
    has been decided yet, everything is evaluated as of now.

    Args:
        citizen: The register's key.

    Raises:
        NotFound: For an unknown citizen or alert.
        Gone: For an alert whose deliveries were pruned.
    """
    stored = await stored_alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
    await refuse_pruned(connection, stored)
    known_by_ref = await delivery_queries.of_citizen(connection, alert_id, citizen)
    if known_by_ref is None:
        raise NotFound(f"There is no citizen {citizen}.")
    citizen_id, found = known_by_ref
    outsider = stored.is_drill and await _is_outsider(connection, stored, citizen_id)
    if not found:
        why = _no_delivery(stored) or await _left_out(
            connection, stored, citizen_id, outsider=outsider
        )
        return [Explained("", "", "", why)]
    evaluated = await deliveries.as_evaluated(connection, alert_id, citizen_id)
    policy = (await policies.live(connection)).policy
    standing = await silences.standing(connection, now)
    explained = []
    for row in found:
        at: datetime = now if row["state"] == DeliveryState.PLANNED else row["decided_at"]
        known = await Histories().of(connection, stored, [row["citizen_id"]], now=at)
        evaluator = AlertEvaluator(
            from_json(stored.document),
            policy,
            key=stored.id,
            thread=stored.thread_id,
            state=_state_then(stored, row["reason"]),
            expires_at=stored.expires_at,
            order_at=stored.order_at,
            submitted_at=stored.submitted_at,
            now=at,
            can_be_silent=registry.can_be_silent(row["channel"]),
            silences=standing,
        )
        subject = _subject_then(evaluated[row["id"]], known.get(row["citizen_id"]), at)
        facts = evaluator.facts(subject._replace(participant=not outsider))
        left = await _left(connection, row, evaluated[row["id"]].endpoint)
        explained.append(
            Explained(
                channel=row["channel"],
                state=row["state"],
                reason=row["reason"],
                sentence=" ".join(filter(None, (_line(row), left))),
                before=facts.assessment.before,
                after=facts.assessment.after,
                rules=tuple(answers(facts, row["state"], row["reason"])),
            )
        )
    return explained


async def _left(connection: AsyncConnection, row: dict[str, Any], endpoint: str | None) -> str:
    """How the owner had unsubscribed an unused endpoint; empty when they had not."""
    if row["reason"] != Reason.OPTED_OUT or endpoint is None:
        return ""
    found = await suppressions.of_endpoint(connection, Endpoint(row["channel"], endpoint))
    if found is None or found.stopped_at > row["decided_at"]:
        return ""
    return found.sentence


def _no_delivery(stored: StoredAlert) -> str:
    if stored.state is AlertState.HELD:
        return f"The alert waits for a second person: {stored.state_reason}"
    if stored.state in {AlertState.CANCELLED, AlertState.SUPERSEDED} and stored.planned_at is None:
        return f"The alert was {stored.state} before this citizen was planned."
    if stored.state_reason and stored.planned_at is None:
        return f"The alert is not sent to anyone: {stored.state_reason}."
    return "" if stored.planned_at is not None else "The audience is still being planned."


async def _is_outsider(connection: AsyncConnection, stored: StoredAlert, citizen_id: int) -> bool:
    outsiders, _ = await outsiders_of(connection, stored, [citizen_id])
    return bool(outsiders)


async def _left_out(
    connection: AsyncConnection,
    stored: StoredAlert,
    citizen_id: int,
    *,
    outsider: bool,
) -> str:
    """Why an alert has no delivery for a citizen, judged by the register as it is now."""
    none = "No delivery was planned: the citizen"
    if outsider:
        return f"{none} is not a participant: on none of the rosters that the drill is for."
    closed = not stored.is_drill and not stored.for_public
    if closed and not await directory.in_groups(connection, citizen_id, stored.addresses):
        return f"{none} is not a participant: in none of the groups that the alert is for."
    alert = from_json(stored.document)
    if alert.ends:
        return f"{none} had not been notified of the danger that it ends."
    if not await audience.holds(connection, alert, citizen_id, now=stored.submitted_at):
        return f"{none} has no place or geocode in its areas."
    return f"{none} had no address, or came into its areas later."


def _state_then(stored: StoredAlert, reason: str) -> AlertState:
    """The alert's state at the decision: one that has ended since was usually still live then."""
    ends = {Reason.CANCELLED.value, Reason.SUPERSEDED.value, Reason.EXPIRED.value}
    return stored.state if reason in ends else AlertState.DELIVERING


def _subject_then(d: OpenDelivery, known: Known | None, at: datetime) -> Subject:
    earlier = None
    if known is not None:
        earlier = Known(
            [p for p in known.event if p.at < at], [p for p in known.elsewhere if p.at < at]
        )
    return subject_of(d, earlier)


def _line(row: dict[str, Any]) -> str:
    state, reason = DeliveryState(row["state"]), row["reason"]
    parts = [f"The {row['channel']} {_STATES[state]}."]
    if reason:
        parts.append(sentence(reason))
    if row["code"]:
        parts.append(f"The provider's code was {row['code']}.")
    if row["tries"] > 1:
        parts.append(f"It was tried {row['tries']} times.")
    return " ".join(parts)
