"""Repeats: recognises a repeated submission by its idempotency key or its CAP reference."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.dispatch.intake.submission import Accepted, KeyReused, Prepared, Request
from alerting.domain.alert import Alert
from alerting.domain.alert_state import ENDED, AlertState
from alerting.errors import Conflict
from alerting.store.alerts import idempotency, stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert

#: The note on a text that is submitted again with its times moved to now.
_SAME_TEXT = (
    "The same text was sent with its times moved to {stored.sent_at:%Y-%m-%d %H:%M:%S %Z} and is "
    "in force: nothing is sent again. To send it all the same, cancel that alert first, submit "
    "with --tell-again, or give an idempotency key of your own."
)


async def first_accepted(
    connection: AsyncConnection, prepared: Prepared, request: Request
) -> Accepted | None:
    """Return the alert accepted before with this request's key or this CAP reference, or None.

    Raises:
        KeyReused: When the key came with another body.
        Conflict: When the reference came with other content.
    """
    known = await repeated(connection, request)
    if known is not None:
        return known
    duplicate = await stored_alerts.by_reference(connection, prepared.alert.triple)
    if duplicate is None:
        return None
    return _repeat_of_reference(duplicate, prepared.content_hash, prepared.alert)


async def repeated(connection: AsyncConnection, request: Request) -> Accepted | None:
    """Return what was accepted for this request's key before; None without a key or for a new one.

    Raises:
        KeyReused: When the key came with another body.
    """
    if request.key is None:
        return None
    known = await idempotency.remembered(connection, request.principal.actor, request.key)
    if known is None:
        return None
    if request.while_in_force:
        stored = await stored_alerts.get(connection, known[1])
        if stored is None or stored.state in ENDED or stored.expires_at <= request.now:
            return None
        notes = _since(stored) or (_SAME_TEXT.format(stored=stored),)
        return Accepted(stored, False, notes)
    return await _repeat_of_key(connection, known, request.hash, request.key)


async def _repeat_of_key(
    connection: AsyncConnection, known: tuple[bytes, UUID], request_hash: bytes, key: str
) -> Accepted:
    first_hash, alert_id = known
    if first_hash != request_hash:
        raise KeyReused(
            f"The idempotency key {key!r} was used before with another body.",
            remedy="Use a new key for a new alert.",
        )
    stored = await stored_alerts.get(connection, alert_id)
    if stored is None:
        raise Conflict(f"The alert of the idempotency key {key!r} has been removed.")
    return Accepted(stored, False, _since(stored))


def _repeat_of_reference(duplicate: StoredAlert, content_hash: bytes, alert: Alert) -> Accepted:
    """The alert accepted with the same CAP reference. Raises Conflict for other content."""
    if duplicate.source_hash != content_hash:
        raise Conflict(
            f"{alert.sender} already sent an alert {alert.identifier} at that time with other "
            "content.",
            remedy="An issued alert never changes: send an Update that refers to it.",
        )
    return Accepted(duplicate, False, _since(duplicate), alert.repairs)


def _since(stored: StoredAlert) -> tuple[str, ...]:
    """Notes on the state of an alert that is submitted again."""
    if stored.state is AlertState.HELD:
        return (waits(stored.id, stored.state_reason),)
    if stored.state not in ENDED:
        return ()
    why = f" ({stored.state_reason})" if stored.state_reason else ""
    how = "kept for the record" if stored.state is AlertState.RECORDED else stored.state.value
    return (f"It was accepted before and has been {how}{why}: nothing is sent.",)


def waits(alert_id: UUID, reason: str) -> str:
    return f"It waits for a second person (alerting approve {alert_id}): {reason}"
