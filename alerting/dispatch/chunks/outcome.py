"""What follows from a send: a final state, a retry, or in doubt. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto

from alerting.channels.base import AMBIGUOUS, TOO_LATE, Fault, Outcome
from alerting.domain.decision import Reason
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane
from alerting.settings import Settings
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.ledger.outcomes import OutcomeRow

#: Faults of the provider or of us, not of one citizen's address.
_WHOLE_PROVIDER = frozenset({Fault.OURS, Fault.CAPACITY, Fault.PROVIDER})

#: The reason in the ledger of what may have been sent and was closed without a receipt.
IN_DOUBT = "in-doubt"

#: How long a chunk pauses when the provider asks for no time.
_BREATH_S = 1.0


class InDoubtStep(Enum):
    """What to do about a delivery in doubt."""

    WAIT = auto()
    RESEND = auto()
    CLOSE = auto()


def after_send(
    d: OpenDelivery,
    outcome: Outcome,
    attempted_at: datetime,
    settings: Settings,
    *,
    reason: str = Reason.NEW.value,
    silent: bool = False,
) -> OutcomeRow:
    """The ledger row for one provider call.

    A definite refusal that may pass is planned again until the alert expires; only an address that
    cannot be reached is given up after `max_tries`. A second try of something in doubt that is
    refused stays in doubt, for the first may have gone; where it comes too late to be made, the
    delivery is closed like any other doubt: it counts as told when its alert's end is.

    Args:
        reason, silent: Why it was sent, and how.
    """
    was_in_doubt = d.state == DeliveryState.IN_DOUBT
    state, refusal = _end(d, outcome, settings)
    if was_in_doubt and state is DeliveryState.PLANNED:
        state = DeliveryState.IN_DOUBT
    if was_in_doubt and state is DeliveryState.EXPIRED:
        state, refusal = DeliveryState.FAILED, IN_DOUBT
    return OutcomeRow(
        d.id,
        state,
        refusal or reason,
        code=outcome.provider_code,
        provider_ref=outcome.provider_ref,
        possible_duplicate=was_in_doubt and state is not DeliveryState.IN_DOUBT,
        tried=int(outcome.called),
        attempted_at=attempted_at if outcome.called else None,
        silent=silent,
        provider=outcome.provider,
    )


def _end(d: OpenDelivery, outcome: Outcome, settings: Settings) -> tuple[DeliveryState, str]:
    error = outcome.error
    if error is None:
        return DeliveryState.ACCEPTED, ""
    if error is AMBIGUOUS:
        return DeliveryState.IN_DOUBT, error.code
    if error is TOO_LATE:
        return DeliveryState.EXPIRED, error.code
    if error.fault is Fault.OURS:
        return DeliveryState.PLANNED, error.code
    if error.retryable and (error.fault is not Fault.ADDRESS or d.tries + 1 < settings.max_tries):
        return DeliveryState.PLANNED, error.code
    return DeliveryState.FAILED, error.code


def asked_to_wait(outcomes: Sequence[Outcome]) -> float:
    """Seconds to pause for the whole provider; 0 when it works.

    Only when most of a window was refused for reasons other than the citizens' addresses: one push
    service that is down, or one hostile endpoint, must not delay all others.
    """
    waits = [
        o.retry_after_s or _BREATH_S
        for o in outcomes
        if o.error is not None and o.error.fault in _WHOLE_PROVIDER
    ]
    return max(waits) if len(waits) * 2 > len(outcomes) else 0.0


def in_doubt_step(d: OpenDelivery, lane: Lane, now: datetime, settings: Settings) -> InDoubtStep:
    """Resend what is high-priority or asked for, flagged; hold the rest for a receipt, then close
    it."""
    since = now - (d.attempted_at or now)
    if _is_resent(d, lane):
        if d.tries >= settings.max_tries:
            return InDoubtStep.CLOSE
        return InDoubtStep.RESEND if since >= _wait(d, lane, settings) else InDoubtStep.WAIT
    return InDoubtStep.CLOSE if since >= _wait(d, lane, settings) else InDoubtStep.WAIT


def held_long_enough(d: OpenDelivery, now: datetime, settings: Settings) -> bool:
    """True when a receipt that could resolve the doubt is no longer expected."""
    return now - (d.attempted_at or now) >= timedelta(seconds=settings.in_doubt_hold_s)


def next_try(
    d: OpenDelivery, lane: Lane, now: datetime, settings: Settings, *, to_send: bool = True
) -> datetime:
    """When to act next on a delivery that is still open.

    Full jitter between zero and an exponential bound, so that the retries of many workers spread.

    Args:
        to_send: False when the throttle would not send it again now; a delivery in doubt is then
            only closed after its time.
    """
    if d.state == DeliveryState.IN_DOUBT:
        acted_on_at = (d.attempted_at or now) + _wait(d, lane, settings)
        if to_send or acted_on_at > now:
            return acted_on_at
        return (d.attempted_at or now) + timedelta(seconds=settings.in_doubt_hold_s)
    if d.state == DeliveryState.DEFERRED and d.due_at is not None:
        return d.due_at
    bound = min(settings.retry_max_s, settings.retry_s * 2 ** min(20, max(0, d.tries - 1)))
    return now + timedelta(seconds=random.uniform(0, bound))  # noqa: S311 - spreads load only


def _is_resent(d: OpenDelivery, lane: Lane) -> bool:
    return lane in HIGH_PRIORITY_LANES or d.resend


def _wait(d: OpenDelivery, lane: Lane, settings: Settings) -> timedelta:
    """How long a receipt may still settle a doubt before we act."""
    if _is_resent(d, lane):
        return timedelta(seconds=settings.in_doubt_wait_s)
    return timedelta(seconds=settings.in_doubt_hold_s)
