"""Twins: citizens of one chunk who share an endpoint. It hears an alert once."""

from __future__ import annotations

from collections.abc import Sequence

from alerting.domain.decision import Decision, Reason, Verdict
from alerting.store.deliveries import OpenDelivery

_TOLD = Decision(Verdict.DROP, Reason.ALREADY_TOLD)


def one_each(
    pending: Sequence[OpenDelivery], decisions: Sequence[Decision], *, can_be_silent: bool
) -> list[Decision]:
    """The decisions, with one delivery at most that goes out to each endpoint; its twins count as
    told by it. Where none goes out each keeps its own.

    One that interrupts goes before one that is silent. Should it fail, or be withheld after all,
    the twins hear by their next channel.
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
