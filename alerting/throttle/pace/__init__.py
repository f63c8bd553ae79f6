"""Shaping what a provider is sent, by reservation: nobody is rejected, everybody is told when.

All workers reserve from one sender's rate. A reservation is a run of evenly spaced instants that
nobody else owns, one for each token: an SMS segment, a mail, a push. So the provider sees no more
than the rate in any second, however many workers there are.

Extreme and Severe reserve as though nothing else were there and push back what Routine and drills
reserve later. These own so little of the future, and give that up so soon, that a grave alert
never stands behind a light one.

The rate follows the provider: it falls when the provider says it is too much (429), and rises
again while what there is gets used.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from alerting.domain.lane import Lane

MICRO = 1_000_000

#: The part of the rate that is handed out. The rest is for what arrives later than it was meant
#: to: a provider counts when it receives, not when we send.
HEADROOM = 0.98

#: So long after it an instant that nobody reserved may still be, or it is lost.
BURST_US = 5_000

#: The most that one reservation takes, of the rate's time and in tokens. Little below Severe, so
#: that a worker asks again soon and hears what has changed.
CHUNK_HIGH_US = 100_000
CHUNK_LOW_US = 10_000
MOST_TOKENS = 1_000

#: So far ahead Extreme and Severe may reserve; what a worker owned that died is lost.
HORIZON_HIGH_US = 1_000_000

#: No lane reserves further ahead while several tenants are in it, or who asks for a few now and
#: then would wait behind all that the others own; nor any below Severe while a graver one is live,
#: or what it owns would come on top of what that one takes.
HORIZON_SHORT_US = 50_000

#: For so long after a reservation of Severe or above one of these is live.
LIVE_US = 2_000_000

#: Who asked within this time is still there, and may catch up on its part of it.
ACTIVE_US = 500_000

#: How many reservations' worth a tenant may be ahead of another that waits.
SLACK_CHUNKS = 2

#: The bounds of the wait of who is ahead.
FAIR_WAIT_LEAST_US = 5_000
FAIR_WAIT_MOST_US = 50_000

#: Workers that reserved within this time count.
WORKER_US = 10 * MICRO

# How the rate follows the provider. Shares are millionths of the configured rate.
WHOLE = 1_000_000
LEAST_SHARE = 50_000
SLOW_SHARE = 100_000
FIRST_STEP = 20_000
LAST_STEP = 320_000
USED_ENOUGH = 0.8
WINDOW_US = MICRO

#: Without a success for so long there was an outage.
OUTAGE_US = 10 * MICRO

#: A provider's wish to be left alone counts for so long, and for Severe and above for so long.
BLOCK_MOST_US = 300 * MICRO
BLOCK_HIGH_US = MICRO

#: No wait is told that is shorter, or workers would ask without end.
WAIT_LEAST_US = 1_000

HIGH = frozenset({Lane.EXTREME, Lane.SEVERE})


@dataclass(frozen=True, slots=True)
class Rate:
    """What a sender's provider takes.

    per_second: tokens; 0 does not shape. horizon_s: so far ahead may be reserved below Severe.
    severe_share: kept free for Severe and above while any of these was lately reserved.
    """

    per_second: float
    horizon_s: float = 0.5
    severe_share: float = 0.2

    def __post_init__(self) -> None:
        if self.per_second < 0 or self.horizon_s <= 0 or not 0 <= self.severe_share < 1:
            raise ValueError(f"{self}: no such rate can be kept.")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a reservation got.

    granted: so many tokens, the first at `start_in_s`, one more each `interval_s`. `start_in_s`
    is below 0 when its instant is just over. Nothing granted: ask again in `wait_s`.
    epoch: when it differs from what was heard before, whatever was granted below Severe under the
    old one must not be used any more.
    workers: how many reserve from this sender, this one counted.
    """

    epoch: int
    granted: int
    start_in_s: float
    interval_s: float
    wait_s: float
    workers: int


class Pace(Protocol):
    """The rate of each sender, summed over all workers."""

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
        not granted half of them. 0 tokens only announce the worker and hear the epoch.

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
        """Say what the provider said: that it was too much, with its wish for a pause, or yes.

        Too much cuts the rate, at most once a second. Raises Unavailable as `reserve` does.
        """
        ...

    def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        """Each new epoch, as it begins and not only with the next grant.

        One may be missed, as while the connection is made; the next grant tells it. Raises
        Unavailable when nothing more will be heard.
        """
        ...


def unshaped(tokens: int) -> Grant:
    """The grant of a sender without a rate: everything, at once."""
    return Grant(0, tokens, 0.0, 0.0, 0.0, 1)


def pause_us(retry_after_s: float | None) -> int:
    """A provider's wish for a pause, within bounds."""
    # Written so that what is no number counts as no wish.
    if retry_after_s is None or not retry_after_s > 0:
        return 0
    return round(min(retry_after_s * MICRO, BLOCK_MOST_US))
