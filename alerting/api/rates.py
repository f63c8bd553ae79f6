"""How often one caller may ask, counted by this process alone."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import Scope

from alerting.errors import BadInput

#: Only callers that asked of late are remembered, and never more.
_MOST = 50_000


class TooMany(BadInput):
    """Ask again in `wait_s`, in whole seconds."""

    http_status = 429
    title = "Too many requests"

    def __init__(self, wait_s: float) -> None:
        self.wait_s = math.ceil(wait_s)
        super().__init__("Too many requests came at once.", remedy=f"Ask again in {self.wait_s} s.")


class Rate:
    """So many requests a second of each caller, and `burst_s` seconds' worth at once (GCRA).

    Every process counts for itself, so it needs no engine; of several, callers get the sum.
    per_second: 0 lets everything pass.
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
        """Count a request of a caller, as `cost` of them. Raises TooMany where it has used up what
        it has."""
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
    """Something costly, of which `most` are under way at once in this process, and one for each
    caller."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._callers: set[str] = set()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """It is under way in the block. Raises TooMany where as many are already."""
        if caller in self._callers or len(self._callers) >= self._most:
            raise TooMany(1)
        self._callers.add(caller)
        try:
            yield
        finally:
            self._callers.discard(caller)


def network(address: str) -> str:
    """The network an address is in, as it is counted and logged: /24 of IPv4, /48 of IPv6."""
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
    """The network a request comes from, by the proxy's word where a trusted one stands before."""
    client = scope.get("client")
    return network(client[0]) if client else "unknown"
