"""A submission: what is asked for, what is worked out of it once, and what became of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from alerting.cap import to_json
from alerting.domain.alert import Alert, Repair
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.errors import Conflict
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.throttle.events.signature import Signature, signature


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission. `created` is False when it had been accepted before.

    notes: what the coordinator should know though it is no error. ends_nothing: it ends a danger,
    and nothing is known here that it could end.
    """

    alert_id: UUID
    created: bool
    lane: Lane
    state: AlertState
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...]
    ends_nothing: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.alert_id),
            "created": self.created,
            "lane": self.lane.value,
            "state": self.state.value,
            "notes": list(self.notes),
            "ends_nothing": self.ends_nothing,
            "repairs": [{"where": r.where, "what": r.what} for r in self.repairs],
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """What intake made of a submission, before its answer is put together.

    created: False when it had been accepted before, as `stored`. plan_id: of the plan that sends
    it; None where it does not go out now. notes, ends_nothing: as in `Submitted`.
    """

    stored: StoredAlert
    created: bool
    notes: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()
    ends_nothing: bool = False
    plan_id: int | None = None

    def answer(self, notes: Sequence[str] | None = None) -> Submitted:
        """What its submitter is told. notes: all of them, where more than its own are known."""
        return Submitted(
            self.stored.id,
            self.created,
            self.stored.lane,
            self.stored.state,
            self.notes if notes is None else tuple(notes),
            self.repairs,
            self.ends_nothing,
        )


class KeyReused(Conflict):
    """The same idempotency key came with another body."""

    http_status = 422


@dataclass(frozen=True, slots=True)
class Request:
    """Who submits and when. `hash` is of what their idempotency key stands for, where they gave
    one; with `while_in_force` it stands for that only until the alert has ended or run out;
    `default_expiry_s` is how long an alert without an end is sent; `drill_roster_max` is how
    many members a drill may have without a second person."""

    principal: Principal
    now: datetime
    hash: bytes
    key: str | None = None
    default_expiry_s: float = 24 * 3600
    drill_roster_max: int = 500
    while_in_force: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An alert and what is worked out of it by the processor alone, once.

    document: as it is stored. content_hash: equal for equal meaning, whatever the spelling of the
    document it came in.
    """

    alert: Alert
    document: dict[str, Any]
    content_hash: bytes
    signature: Signature


def prepare(alert: Alert) -> Prepared:
    """Takes tenths of a second for the largest alerts: call it beside the event loop."""
    document = to_json(alert)
    meant = {name: v for name, v in document.items() if name not in ("repairs", "remarks")}
    content = json.dumps(meant, sort_keys=True, default=str).encode()
    return Prepared(alert, document, hashlib.sha256(content).digest(), signature(alert))
