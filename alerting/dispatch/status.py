"""Status: an alert's progress, in numbers a coordinator can act on."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.dispatch import reach
from alerting.dispatch.pruned import refuse_pruned
from alerting.domain.alert import Severity, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.delivery import SETTLED, DeliveryState
from alerting.errors import NotFound
from alerting.store.alerts import stored_alerts
from alerting.store.ledger import delivery_queries, escalations


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel's part of an alert.

    accepted counts what a provider accepted, including delivered; not_sent counts what ended
    without a provider, by reason; open is what still needs a worker or a receipt. Latencies are
    seconds from submission to acceptance.
    """

    planned: int
    accepted: int
    delivered: int
    failed: int
    open: int
    not_sent: dict[str, int]
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    last_s: float | None = None


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """One alert's progress; `audience` counts citizens, the channels count deliveries.

    Attributes:
        event, severity: Of its most severe info.
        state: As stored, but never `completed` while a delivery is open.
        deferred: How many wait for a later time, by reason.
        waits_until: When the next delivery is due, if only deferred ones are left.
        unheard: Why nobody is notified; empty when somebody was, may still be, or already knows.
    """

    id: UUID
    sender: str
    identifier: str
    sent_at: datetime
    status: str
    msg_type: str
    scope: str
    event: str
    severity: str
    lane: str
    state: str
    state_reason: str
    submitted_at: datetime
    expires_at: datetime
    planned_at: datetime | None
    finished_at: datetime | None
    audience: int
    channels: dict[str, ChannelStatus]
    deferred: dict[str, int]
    waits_until: datetime | None = None
    unheard: str = ""

    @property
    def is_drill(self) -> bool:
        """See `Alert.is_drill`."""
        return self.status != Status.ACTUAL

    @property
    def settled(self) -> bool:
        """True when nothing is left to do now but, perhaps, to wait for receipts."""
        done = self.finished_at is not None or self.state == AlertState.RECORDED
        return done or self.waits_until is not None

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        for name, value in document.items():
            if isinstance(value, datetime):
                document[name] = value.isoformat()
        return document | {"id": str(self.id)}


async def status(connection: AsyncConnection, alert_id: UUID) -> AlertStatus:
    """Count an alert's deliveries by channel.

    Raises:
        NotFound: And Gone with what is left of the counts where they were pruned.
    """
    stored = await stored_alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
    await refuse_pruned(connection, stored)
    counts = await delivery_queries.counts(connection, alert_id)
    tallies: dict[str, dict[tuple[DeliveryState, str], int]] = defaultdict(dict)
    deferred: Counter[str] = Counter()
    for channel, state, reason, count in counts:
        tallies[channel][DeliveryState(state), reason] = count
        if state == DeliveryState.DEFERRED:
            deferred[reason] += count
    left = {state for tally in tallies.values() for state, _ in tally if state not in SETTLED}
    waits = left == {DeliveryState.DEFERRED} and stored.planned_at is not None
    waits_until = await delivery_queries.next_due(connection, alert_id) if waits else None
    unheard = reach.unheard(stored, counts, waits_until=waits_until)
    # What one channel did not reach, another may be about to.
    over = not left and not (unheard and await escalations.is_due(connection, alert_id))
    shown = stored.state
    if shown is AlertState.COMPLETED and not over:
        shown = AlertState.DELIVERING
    seconds = {row[0]: row[1:] for row in await delivery_queries.latencies(connection, alert_id)}
    most_severe = min(stored.infos, key=lambda i: Severity(i["severity"]).rank, default=None)
    return AlertStatus(
        id=stored.id,
        sender=stored.sender,
        identifier=stored.identifier,
        sent_at=stored.sent_at,
        status=stored.status,
        msg_type=stored.msg_type,
        scope=stored.scope,
        event=most_severe["event"] if most_severe else "",
        severity=most_severe["severity"] if most_severe else Severity.UNKNOWN.value,
        lane=stored.lane.value,
        state=shown.value,
        state_reason=stored.state_reason,
        submitted_at=stored.submitted_at,
        expires_at=stored.expires_at,
        planned_at=stored.planned_at,
        finished_at=stored.finished_at if over else None,
        audience=stored.audience,
        channels={
            channel: _channel(tally, seconds.get(channel)) for channel, tally in tallies.items()
        },
        deferred=dict(deferred),
        waits_until=waits_until,
        unheard=unheard if over or waits_until is not None else "",
    )


_NOT_SENT = {DeliveryState.SUPPRESSED, DeliveryState.EXPIRED, DeliveryState.REVOKED}


def _channel(
    tally: dict[tuple[DeliveryState, str], int],
    seconds: tuple[float, float, float, float] | None,
) -> ChannelStatus:
    by_state: dict[DeliveryState, int] = defaultdict(int)
    not_sent: dict[str, int] = {}
    for (state, reason), count in tally.items():
        by_state[state] += count
        if state in _NOT_SENT:
            not_sent[reason] = not_sent.get(reason, 0) + count
    p50, p95, p99, last = seconds or (None, None, None, None)
    return ChannelStatus(
        planned=sum(by_state.values()),
        accepted=by_state[DeliveryState.ACCEPTED] + by_state[DeliveryState.DELIVERED],
        delivered=by_state[DeliveryState.DELIVERED],
        failed=by_state[DeliveryState.FAILED],
        open=sum(n for state, n in by_state.items() if state not in SETTLED),
        not_sent=not_sent,
        p50_s=p50,
        p95_s=p95,
        p99_s=p99,
        last_s=last,
    )
