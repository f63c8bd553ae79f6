"""Addresses of the engines: from the settings, else the embedded ones that run below `var`."""

from __future__ import annotations

from alerting.embedded import found
from alerting.errors import Unavailable
from alerting.settings import Settings


def database_url(settings: Settings) -> str:
    """Where PostgreSQL is: DATABASE_URL, else the embedded one that runs below `var`.

    Raises:
        Unavailable: When neither is there.
    """
    return settings.database_url or _embedded(settings, "DATABASE_URL").database_url


def redis_url(settings: Settings) -> str:
    """Where Redis is: REDIS_URL, else the embedded one that runs below `var`."""
    return settings.redis_url or _embedded(settings, "REDIS_URL").redis_url


def broker_url(settings: Settings) -> str:
    """Where Celery's broker is: BROKER_URL, else Redis."""
    return settings.broker_url or redis_url(settings)


def _embedded(settings: Settings, variable: str) -> found.Found:
    engines = found.find(settings.var)
    if engines is None:
        raise Unavailable(
            f"No engines run on {settings.var}/ and {variable} is not set.",
            remedy=f"Start `alerting up` in another terminal, or set {variable}.",
        )
    return engines
