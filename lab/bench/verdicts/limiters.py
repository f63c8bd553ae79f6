"""Other limiters at the same job: may each of these citizens be interrupted, by hour and by day?

Each is used as its documentation advises for speed: its synchronous client on one connection that
stays open, scripts loaded, limiters built once. None of them takes more than one key at a time
nor offers a pipeline. Where a library has several fitting algorithms each is a limiter of its own.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.bench.stubs.server import for_limits

#: Asks for one citizen. True when the message may go out.
Asker: TypeAlias = Callable[[int], bool]

PER_HOUR, PER_DAY = 6, 12


@dataclass(frozen=True, slots=True)
class Limiter:
    """A library with one of its algorithms. `make` takes the server's URL and may import."""

    package: str
    algorithm: str
    make: Callable[[str], Asker]

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None


def _limits(strategy: str) -> Callable[[str], Asker]:
    def make(url: str) -> Asker:
        from limits import RateLimitItemPerDay, RateLimitItemPerHour, strategies
        from limits.storage import RedisStorage

        limiter = getattr(strategies, strategy)(RedisStorage(for_limits(url)))
        hour, day = RateLimitItemPerHour(PER_HOUR), RateLimitItemPerDay(PER_DAY)

        def ask(citizen_id: int) -> bool:
            name = str(citizen_id)
            return bool(limiter.hit(hour, name) and limiter.hit(day, name))

        return ask

    return make


def _throttled(algorithm: str) -> Callable[[str], Asker]:
    def make(url: str) -> Asker:
        from throttled import Throttled, rate_limiter
        from throttled.store import RedisStore

        store = RedisStore(server=url)
        quotas = {"hour": rate_limiter.per_hour(PER_HOUR), "day": rate_limiter.per_day(PER_DAY)}
        hour, day = (
            Throttled(using=algorithm, quota=q, store=store, key_prefix=name).limit
            for name, q in quotas.items()
        )

        def ask(citizen_id: int) -> bool:
            name = str(citizen_id)
            return not hour(name).limited and not day(name).limited

        return ask

    return make


def _pyrate(url: str) -> Asker:
    from pyrate_limiter import Duration, Rate, RateItem
    from pyrate_limiter.buckets.redis_bucket import LuaScript, RedisBucket
    from redis import Redis

    client: Any = Redis.from_url(url)
    digest = client.script_load(LuaScript.PUT_ITEM)
    rates = [Rate(PER_HOUR, Duration.HOUR), Rate(PER_DAY, Duration.DAY)]

    def ask(citizen_id: int) -> bool:
        # The bucket itself: a Limiter around it would add a lock and find it by name.
        name = f"citizen:{citizen_id}"
        bucket = RedisBucket(rates, client, name, digest)
        return bool(bucket.put(RateItem(name, time.time_ns() // 1_000_000)))

    return ask


LIMITERS = (
    Limiter("limits", "fixed window", _limits("FixedWindowRateLimiter")),
    Limiter("limits", "sliding window counter", _limits("SlidingWindowCounterRateLimiter")),
    Limiter("throttled-py", "GCRA", _throttled("gcra")),
    Limiter("throttled-py", "fixed window", _throttled("fixed_window")),
    Limiter("pyrate-limiter", "log, both windows in one script", _pyrate),
)


def batches(size: int, seconds: float) -> Iterator[range]:
    """Ever new citizens, `size` at a time, until the time is over."""
    end, first = time.perf_counter() + seconds, 0
    while first == 0 or time.perf_counter() < end:
        yield range(first, first + size)
        first += size
