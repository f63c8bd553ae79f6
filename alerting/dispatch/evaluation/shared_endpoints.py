"""Shared endpoints: an endpoint that several citizens of a chunk have gets an alert once."""

from __future__ import annotations

from collections.abc import Sequence

from alerting.domain.decision import Action, Decision, Reason
from alerting.store.ledger.deliveries import OpenDelivery

_NOTIFIED = Decision(Action.DROP, Reason.ALREADY_TOLD)


def one_per_endpoint(
    pending: Sequence[OpenDelivery], decisions: Sequence[Decision], *, can_be_silent: bool
) -> list[Decision]:
    """Return the decisions with at most one delivery to each endpoint.

    The other citizens of the endpoint count as notified by it; if it fails or is withheld later,
    they are notified by their next channel. A delivery that interrupts has precedence over a silent
    one. When none is sent, each keeps its own decision.
    """
    chosen: dict[str, OpenDelivery] = {}
    for action in [Action.SEND, Action.SILENT] if can_be_silent else [Action.SEND]:
        for d, decision in zip(pending, decisions, strict=True):
            if d.endpoint is not None and decision.action is action:
                chosen.setdefault(d.endpoint, d)
    spared = {Action.DROP} if can_be_silent else {Action.DROP, Action.SILENT}
    return [
        decision if decision.action in spared or chosen.get(d.endpoint or "", d) is d else _NOTIFIED
        for d, decision in zip(pending, decisions, strict=True)
    ]
