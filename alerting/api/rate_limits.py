"""Rate limits by caller, counted in this process."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import Scope

from alerting.errors import BadInput

#: Callers remembered, the most recent ones.
_MOST = 50_000


class TooMany(BadInput):
    """The rate limit is used up; retry after `wait_s` whole seconds."""

    http_status = 429
    title = "Too many requests"

    def __init__(self, wait_s: float) -> None:
        self.wait_s = math.ceil(wait_s)
        super().__init__("Too many requests came at once.", remedy=f"Ask again in {self.wait_s} s.")


class Rate:
    """Rate limit for each caller (GCRA): `per_second`, in bursts of `burst_s` seconds' worth.

    Each process counts for itself, so N processes admit N times the rate. per_second: 0 admits
    everything.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst_s: float = 10,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._each_s = 1 / per_second if per_second > 0 else 0.0
        self._burst_s = burst_s
        self._now_s = now_s
        # When each caller has used up what it has; in the order of their last requests.
        self._used_until: OrderedDict[str, float] = OrderedDict()

    def charge(self, caller: str, cost: float = 1) -> None:
        """Count a request as `cost` requests. Raises TooMany when the limit is used up."""
        if not self._each_s:
            return
        now = self._now_s()
        until = max(now, self._used_until.get(caller, now))
        over_s = until - now - self._burst_s
        if over_s >= 0:
            raise TooMany(over_s + self._each_s)
        self._used_until[caller] = until + cost * self._each_s
        self._used_until.move_to_end(caller)
        if len(self._used_until) > _MOST:
            self._used_until.popitem(last=False)


class AtOnce:
    """Concurrency limit: `most` at once in this process, one for each caller."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._callers: set[str] = set()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Hold a place while the block lasts. Raises TooMany when none is free."""
        if caller in self._callers or len(self._callers) >= self._most:
            raise TooMany(1)
        self._callers.add(caller)
        try:
            yield
        finally:
            self._callers.discard(caller)


def network(address: str) -> str:
    """The network of an address, for counting and logging: /24 of IPv4, /48 of IPv6."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ip_network((ip, 48), strict=False))
        ip = ip.ipv4_mapped
    return str(ip_network((ip, 24), strict=False))


def caller(scope: Scope) -> str:
    """The client's network, as a trusted proxy reports it."""
    client = scope.get("client")
    return network(client[0]) if client else "unknown"
