"""In doubt: ask the provider about messages whose outcome is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from alerting.channels.base import CannotLookUp, Outcome
from alerting.dispatch.chunks.compose import Group
from alerting.dispatch.evaluation.chunk_evaluator import Sending
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.observe.logs import logger
from alerting.providers.failover import Routes
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.ledger.outcomes import OutcomeRow
from alerting.store.work.outbox import Work

log = logger(__name__)

#: The ledger's reason for outcomes taken from the provider's own records.
LOOKED_UP = "looked-up"

#: Concurrent look-ups: they use capacity that messages need.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Answers:
    """The provider's answers.

    Attributes:
        settled: Outcomes the provider knows.
        not_taken: Ids of messages it does not know.
    """

    settled: list[OutcomeRow] = field(default_factory=list)
    not_taken: set[int] = field(default_factory=set)


async def look_up(
    routes: Routes, work: Work, stored: StoredAlert, group: Group, doubts: Sequence[OpenDelivery]
) -> Answers:
    """Ask about each delivery; those that could not be asked about are in neither part of the
    answer."""
    answers = Answers()
    limit = asyncio.Semaphore(_AT_ONCE)

    async def ask(d: OpenDelivery) -> None:
        message = group.message(Sending(d, Decision(Action.SEND, Reason.NEW)))
        try:
            async with limit:
                # Since the alert was submitted: the time of the call was lost with its worker.
                found = await routes.look_up(
                    work.channel, d.provider, message, since=stored.submitted_at
                )
        except CannotLookUp:
            return
        if found is None:
            answers.not_taken.add(d.id)
        else:
            answers.settled.append(_outcome_row(d, found))

    # The text of a digest cannot be rendered again as it was.
    if not work.digest:
        await asyncio.gather(*(ask(d) for d in doubts))
    if answers.settled or answers.not_taken:
        log.info(
            "chunk.looked_up",
            chunk=work.id,
            taken=len(answers.settled),
            not_taken=len(answers.not_taken),
        )
    return answers


def _outcome_row(d: OpenDelivery, found: Outcome) -> OutcomeRow:
    taken = found.error is None
    return OutcomeRow(
        d.id,
        DeliveryState.ACCEPTED if taken else DeliveryState.FAILED,
        LOOKED_UP if found.error is None else found.error.code,
        code=found.provider_code,
        provider_ref=found.provider_ref,
        provider=found.provider,
    )
