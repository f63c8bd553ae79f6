"""Shared endpoints: citizens of one chunk with the same endpoint. It gets an alert once."""

from __future__ import annotations

from collections.abc import Sequence

from alerting.domain.decision import Action, Decision, Reason
from alerting.store.ledger.deliveries import OpenDelivery

_NOTIFIED = Decision(Action.DROP, Reason.ALREADY_TOLD)


def one_per_endpoint(
    pending: Sequence[OpenDelivery], decisions: Sequence[Decision], *, can_be_silent: bool
) -> list[Decision]:
    """The decisions, with at most one delivery to each endpoint; the others count as notified by
    it.

    Where none is sent each keeps its own decision. One that interrupts wins over a silent one. If
    it fails, or is withheld after all, the others are notified by their next channel.
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
