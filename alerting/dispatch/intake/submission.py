"""Submission: the request, what is computed of its alert once, and its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from alerting.cap import called_a_test, to_json
from alerting.domain.alert import Alert, Repair
from alerting.domain.alert_state import AlertState
from alerting.domain.authority import authorise
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.domain.retime import sent_now
from alerting.errors import Conflict
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.throttle.events.signature import Signature, signature


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submission.

    Attributes:
        created: False when it had been accepted before.
        notes: What the coordinator should know although it is no error.
        ends_nothing: It ends a danger, and nothing that it could end is known here.
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
    """A stored submission, before its answer is made.

    Attributes:
        created: False when it had been accepted before, as `stored`.
        notes, ends_nothing: As in `Submitted`.
        plan_id: Of the plan that sends it; None where it is not sent now.
    """

    stored: StoredAlert
    created: bool
    notes: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()
    ends_nothing: bool = False
    plan_id: int | None = None

    def answer(self, notes: Sequence[str] | None = None) -> Submitted:
        """The answer to its submitter, with `notes` instead of its own where given."""
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
    """Who submits, and when.

    Attributes:
        hash: Of the body that the idempotency key is for.
        key: The idempotency key, where there is one.
        default_expiry_s: How long an alert without an end is sent.
        drill_roster_max: The most members of a drill that needs no second person.
        while_in_force: The key counts only until the alert has ended or expired.
    """

    principal: Principal
    now: datetime
    hash: bytes
    key: str | None = None
    default_expiry_s: float = 24 * 3600
    drill_roster_max: int = 500
    while_in_force: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An alert that its principal may send, and what is computed of it once.

    Attributes:
        document: As it is stored.
        content_hash: Equal for equal meaning, whatever the spelling of the document it came in.
        test: Its words that say that it is a test; empty where there are none.
        signature: What is compared with other alerts.
    """

    alert: Alert
    document: dict[str, Any]
    content_hash: bytes
    test: str
    signature: Signature


def prepare(
    principal: Principal,
    data: bytes,
    *,
    read: Callable[[bytes], Alert],
    now: datetime | None = None,
    tell_again: bool = False,
) -> Prepared:
    """Read an alert, check that `principal` may send it, and compute what is stored and compared.

    Takes tenths of a second for the largest alerts: call it outside the event loop.

    Args:
        read: Reads the one alert of the document.
        now: The instant that its times are moved to; None leaves them.
        tell_again: As in `submit`.

    Raises:
        Forbidden: For what this principal may not send.
    """
    alert = read(data)
    # Before what may cost much.
    authorise(principal, alert)
    if now is not None:
        alert = sent_now(alert, now)
    if tell_again:
        alert = alert.told_again()
    document = to_json(alert)
    meant = {name: v for name, v in document.items() if name not in ("repairs", "remarks")}
    content = json.dumps(meant, sort_keys=True, default=str).encode()
    return Prepared(
        alert, document, hashlib.sha256(content).digest(), called_a_test(alert), signature(alert)
    )
