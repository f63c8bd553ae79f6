"""Stored policy texts and the policies they mean: checked before storing, cached for use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import registry
from alerting.clock import Clock, SystemClock
from alerting.dispatch.evaluation import silences
from alerting.domain.principal import Principal
from alerting.errors import AlertingError, BadInput
from alerting.observe.logs import logger
from alerting.store.admin import policy_versions
from alerting.store.admin.policy_versions import StoredPolicy
from alerting.store.db import FAULTS, Database
from alerting.throttle.policy.parse import (
    Policy,
    PolicyRefused,
    default_policy,
    default_toml,
    parse_policy,
)
from alerting.throttle.silence import Silence
from alerting.throttle.silence.matcher import storable

log = logger(__name__)

#: The version of the policy where nobody has set one.
DEFAULT_VERSION = 0

_MOST_NOTE = 500

_read = lru_cache(maxsize=16)(parse_policy)


@dataclass(frozen=True, slots=True)
class Versioned:
    version: int
    policy: Policy


@dataclass(frozen=True, slots=True)
class InForce:
    """The deciding policy, and the shadow policy whose decisions are only counted.

    Attributes:
        silences: Those in force or to come; each knows its own times.
    """

    live: Policy
    live_version: int = DEFAULT_VERSION
    shadow: Policy | None = None
    shadow_version: int | None = None
    silences: tuple[Silence, ...] = ()


async def live(connection: AsyncConnection) -> Versioned:
    """The live policy; the default one as version 0.

    A text that an older version of this software accepted and this one does not is replaced by the
    default policy: no alert is refused because of a policy.
    """
    stored = await policy_versions.current(connection, "live")
    return _versioned(stored) or Versioned(DEFAULT_VERSION, default_policy())


async def braking(connection: AsyncConnection, principal: Principal) -> tuple[Policy, ...]:
    """The policies by which a principal's alerts may be held for a second person.

    These are the live one and, when this principal may have set it, also the newest that somebody
    else set.
    """
    stored = await policy_versions.current(connection, "live")
    others = await policy_versions.newest_of_others(connection, principal)
    chosen = [stored] if stored == others else [stored, others]
    found = [_versioned(one) or Versioned(DEFAULT_VERSION, default_policy()) for one in chosen]
    return tuple(v.policy for v in found)


async def shadow(connection: AsyncConnection) -> Versioned | None:
    """The policy in shadow, if there is one that can be read."""
    return _versioned(await policy_versions.current(connection, "shadow"))


def _versioned(stored: StoredPolicy | None) -> Versioned | None:
    """The policy of a stored text; None when there is none, or it is no longer accepted."""
    if stored is None:
        return None
    try:
        return Versioned(stored.version, _read(stored.toml, rates=registry.rates()))
    except PolicyRefused:
        log.warning("policy.refused", version=stored.version, state=stored.state)
        return None


async def set_live(
    connection: AsyncConnection, toml: str, *, by: Principal, note: str = "", name: str = "policy"
) -> int:
    """Make a text the live policy and return its version; the same text again changes nothing.

    Raises:
        PolicyRefused: And then nothing was changed.
    """
    parse_policy(toml, name=name, rates=registry.rates())
    _storable(note)
    stored = await policy_versions.put(connection, toml, role="live", name=name, by=by, note=note)
    return stored.version


async def set_shadow(
    connection: AsyncConnection, toml: str, *, by: Principal, note: str = "", name: str = "policy"
) -> int:
    """Run a text beside the live policy: it decides nothing, and what it would is counted."""
    parse_policy(toml, name=name, rates=registry.rates())
    _storable(note)
    stored = await policy_versions.put(connection, toml, role="shadow", name=name, by=by, note=note)
    return stored.version


async def clear_shadow(connection: AsyncConnection, *, by: Principal) -> bool:
    """Stop the shadow policy and keep its counts; False when none ran."""
    return await policy_versions.clear(connection, "shadow", by=by, action="policy.shadow-off")


async def rollback(
    connection: AsyncConnection, version: int, *, by: Principal, note: str = ""
) -> int:
    """Set an earlier text again, as a new version; version 0 is the default policy.

    Raises:
        NotFound
        PolicyRefused: For a text that is no longer taken.
    """
    name, toml = "policy.toml", default_toml()
    if version != DEFAULT_VERSION:
        stored = await policy_versions.get(connection, version)
        name, toml = stored.name, stored.toml
    parse_policy(toml, name=name, rates=registry.rates())
    _storable(note)
    back = await policy_versions.put(
        connection,
        toml,
        role="live",
        name=name,
        by=by,
        note=note or f"Version {version} again",
        action="policy.rollback",
    )
    return back.version


async def describe(connection: AsyncConnection) -> dict[str, Any]:
    """The live policy as the command line and the API show it, with the shadow policy.

    in_force: the version whose values `policy` shows; it differs from `version` only when the live
    text is no longer accepted.
    """
    stored = await policy_versions.current(connection, "live")
    beside = await policy_versions.current(connection, "shadow")
    decides = await live(connection)
    return {
        **(to_json(stored) if stored else {"version": DEFAULT_VERSION, "name": "policy.toml"}),
        "toml": stored.toml if stored else default_toml(),
        "in_force": decides.version,
        "policy": decides.policy.model_dump(mode="json", by_alias=True),
        "shadow": to_json(beside) if beside else None,
    }


def to_json(stored: StoredPolicy) -> dict[str, Any]:
    """A version without its text."""
    return {
        "version": stored.version,
        "name": stored.name,
        "state": stored.state,
        "sha256": stored.sha256.hex(),
        "changed_by": stored.changed_by,
        "note": stored.note,
        "at": stored.at.isoformat(),
    }


def _storable(note: str) -> None:
    if not storable(note) or len(note) > _MOST_NOTE:
        raise BadInput(f"A note is plain text of at most {_MOST_NOTE} characters.")


class PolicyCache:
    """The policies and silences in force, at most `max_age_s` old, for one event loop.

    What cannot be read, or not within `patience_s`, stays as last known: at first the default
    policy without silences. It is read again after `max_age_s`.
    """

    def __init__(
        self,
        db: Database,
        *,
        max_age_s: float = 5,
        patience_s: float = 2,
        clock: Clock | None = None,
    ) -> None:
        self._db = db
        self._max_age_s = max_age_s
        self._patience_s = patience_s
        self._clock = clock or SystemClock()
        self._known = InForce(default_policy())
        self._asked_at: datetime | None = None
        self._asking = asyncio.Lock()

    async def in_force(self) -> InForce:
        """What is in force now. Never raises for an engine or for a text in the database."""
        if self._fresh():
            return self._known
        async with self._asking:
            if not self._fresh():
                await self._refresh()
        return self._known

    def _fresh(self) -> bool:
        if self._asked_at is None:
            return False
        age_s = (self._clock.now() - self._asked_at).total_seconds()
        return 0 <= age_s < self._max_age_s

    async def _refresh(self) -> None:
        now = self._clock.now()
        try:
            async with asyncio.timeout(self._patience_s), self._db.begin() as connection:
                stored_policy = await policy_versions.current(connection, "live")
                beside = await policy_versions.current(connection, "shadow")
                standing = await silences.standing(connection, now)
        except (AlertingError, *FAULTS, OSError) as e:
            # TimeoutError is an OSError.
            log.warning("policy.unread", kept=self._known.live_version, error=type(e).__name__)
        else:
            self._known = self._in_force(stored_policy, beside, standing)
        self._asked_at = now

    def _in_force(
        self,
        live: StoredPolicy | None,
        shadow: StoredPolicy | None,
        standing: tuple[Silence, ...],
    ) -> InForce:
        now, beside = _versioned(live), _versioned(shadow)
        if live is None:
            now = Versioned(DEFAULT_VERSION, default_policy())
        elif now is None:
            now = Versioned(self._known.live_version, self._known.live)
        return InForce(
            now.policy,
            now.version,
            beside.policy if beside else None,
            beside.version if beside else None,
            standing,
        )
