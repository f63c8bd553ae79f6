"""The rate limiter's contract: tokens of one sender's rate are reserved, never rejected.

All workers reserve from one sender's rate. A reservation is a run of evenly spaced instants that
belong to one worker, one for each token: an SMS segment, a mail, a push. The provider therefore
sees no more than the rate in any second, however many workers there are.

A sender here is a provider, or a lane of it that has a number of its own; it is not the sender of
an alert. Tenants are those who submit alerts; they share a lane of a sender fairly.

Extreme and Severe ignore the reservations of Routine and drills and push back their later ones.
Routine and drills reserve only a short time ahead and give it up at once, so that a severe alert
never waits for a minor one.

The rate adapts to the provider (AIMD): it falls when the provider answers 429, and rises again
while the granted rate is used.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from alerting.domain.lane import Lane

MICRO = 1_000_000

#: The share of the rate that is granted. The remainder covers jitter: a provider counts when it
#: receives, not when we send.
HEADROOM = 0.98

#: Unreserved capacity expires after this.
BURST_US = 5_000

#: The limits of one reservation, in time and in tokens. Short below Severe, so that a worker asks
#: again soon and learns what has changed.
CHUNK_HIGH_US = 100_000
CHUNK_LOW_US = 10_000
MOST_TOKENS = 1_000

#: How far ahead Extreme and Severe may reserve; the reservations of a worker that dies are lost.
HORIZON_HIGH_US = 1_000_000

#: The horizon while several tenants share a lane, since a tenant with few messages would otherwise
#: wait behind all reservations of the others; and the horizon below Severe while Severe or above
#: is active, since these reservations would come on top of its own.
HORIZON_SHORT_US = 50_000

#: Severe or above counts as active for this long after its last reservation.
LIVE_US = 2_000_000

#: A tenant counts as active for this long after its last request, and may catch up that much.
ACTIVE_US = 500_000

#: How many full reservations a tenant may be ahead of another that waits.
SLACK_CHUNKS = 2

#: The bounds of the wait of a tenant that is ahead.
FAIR_WAIT_LEAST_US = 5_000
FAIR_WAIT_MOST_US = 50_000

#: Workers that reserved within this time are counted.
WORKER_US = 10 * MICRO

# How the rate adapts to the provider. Shares are millionths of the configured rate.
WHOLE = 1_000_000
LEAST_SHARE = 50_000
SLOW_SHARE = 100_000
FIRST_STEP = 20_000
LAST_STEP = 320_000
USED_ENOUGH = 0.8
WINDOW_US = MICRO

#: No success for this long is an outage.
OUTAGE_US = 10 * MICRO

#: The longest pause taken from Retry-After, in general and for Severe and above.
BLOCK_MOST_US = 300 * MICRO
BLOCK_HIGH_US = MICRO

#: The shortest wait that is returned, or workers would poll without end.
WAIT_LEAST_US = 1_000

HIGH = frozenset({Lane.EXTREME, Lane.SEVERE})


@dataclass(frozen=True, slots=True)
class Rate:
    """What a sender's provider takes.

    per_second: tokens; 0 is no limit. horizon_s: how far ahead lanes below Severe may reserve.
    severe_share: kept free for Severe and above while these are active.
    """

    per_second: float
    horizon_s: float = 0.5
    severe_share: float = 0.2

    def __post_init__(self) -> None:
        if self.per_second < 0 or self.horizon_s <= 0 or not 0 <= self.severe_share < 1:
            raise ValueError(f"{self}: this rate cannot be kept.")


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a reservation.

    granted: the number of tokens, the first at `start_in_s`, one more each `interval_s`.
    `start_in_s` is below 0 when its instant has just passed. When it is 0 ask again in `wait_s`.
    epoch: when it differs from the last one, grants below Severe of the old one are void.
    workers: how many reserve from this sender, including this one.
    """

    epoch: int
    granted: int
    start_in_s: float
    interval_s: float
    wait_s: float
    workers: int


class RateStore(Protocol):
    """The reservations of each sender, shared by all workers."""

    async def reserve(
        self,
        sender: str,
        lane: Lane,
        tenant: str,
        tokens: int,
        rate: Rate,
        *,
        unit: int = 1,
        timeout_s: float | None = None,
    ) -> Grant:
        """Reserve up to `tokens`: all of them, some, or none with a time to wait.

        unit: tokens are granted in multiples of this, so that a message of several segments is
        not granted half of them. 0 tokens only announce the worker and read the epoch.

        Raises Unavailable when there is no answer within `timeout_s`. Tokens may have been
        reserved even so; they are lost, which wastes capacity and never exceeds the rate.
        """
        ...

    async def report(
        self,
        sender: str,
        rate: Rate,
        *,
        throttled: bool,
        retry_after_s: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Report the provider's answer to one send: throttled, with its Retry-After, or a success.

        Throttled cuts the rate, at most once a second. Raises Unavailable as `reserve` does.
        """
        ...

    def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        """Yield each new epoch as it begins, before the next grant shows it.

        One may be missed, as while connecting; the next grant carries it. Raises Unavailable when
        the subscription ends.
        """
        ...


def unlimited(tokens: int) -> Grant:
    """The grant of a sender without a rate: all tokens, at once."""
    return Grant(0, tokens, 0.0, 0.0, 0.0, 1)


def pause_us(retry_after_s: float | None) -> int:
    """A provider's Retry-After in microseconds, within bounds."""
    # NaN fails every comparison, and so counts as no Retry-After.
    if retry_after_s is None or not retry_after_s > 0:
        return 0
    return round(min(retry_after_s * MICRO, BLOCK_MOST_US))
