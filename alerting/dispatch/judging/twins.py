"""Shared endpoints: citizens of one chunk with the same endpoint. It gets an alert once."""

from __future__ import annotations

from collections.abc import Sequence

from alerting.domain.decision import Decision, Reason, Verdict
from alerting.store.deliveries import OpenDelivery

_TOLD = Decision(Verdict.DROP, Reason.ALREADY_TOLD)


def one_each(
    pending: Sequence[OpenDelivery], decisions: Sequence[Decision], *, can_be_silent: bool
) -> list[Decision]:
    """The decisions, with at most one delivery to each endpoint; the others count as notified by
    it.

    Where none is sent each keeps its own decision. One that interrupts wins over a silent one. If
    it fails, or is withheld after all, the others are notified by their next channel.
    """
    chosen: dict[str, OpenDelivery] = {}
    for verdict in [Verdict.SEND, Verdict.SILENT] if can_be_silent else [Verdict.SEND]:
        for d, decision in zip(pending, decisions, strict=True):
            if d.endpoint is not None and decision.verdict is verdict:
                chosen.setdefault(d.endpoint, d)
    spared = {Verdict.DROP} if can_be_silent else {Verdict.DROP, Verdict.SILENT}
    return [
        decision if decision.verdict in spared or chosen.get(d.endpoint or "", d) is d else _TOLD
        for d, decision in zip(pending, decisions, strict=True)
    ]
