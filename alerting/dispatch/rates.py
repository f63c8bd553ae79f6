"""The rate limit of each channel: that of the policy in force, else the channel's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from alerting.channels import registry
from alerting.dispatch.evaluation.policies import PolicyCache
from alerting.providers.rate.contract import Rate


def by_policy(policies: PolicyCache) -> Callable[[str], Awaitable[Rate]]:
    """Return a function that gives a channel's present rate limit.

    It raises BadInput for an unknown channel, which would otherwise have no limit.
    """

    async def rate_of(channel: str) -> Rate:
        pace = (await policies.in_force()).live.pace.of(channel)
        if pace is None:
            return Rate(registry.spec(channel).per_second)
        return Rate(pace.per_second, pace.horizon_s, pace.severe_share)

    return rate_of
