"""Earlier alerts: what intake reads of earlier alerts and of the register.

Live intake and a dry run ask PostgreSQL (`database`), a replay asks its memory
(`alerting.replay.past`). What is made of the answers is the same for all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from alerting.domain.alert import Alert, NamedValue, Status
from alerting.domain.principal import Principal
from alerting.domain.version import Version
from alerting.store.alerts.issued import Issued
from alerting.throttle.events.placing import Candidate, Id
from alerting.throttle.events.same import Signature
from alerting.throttle.events.text import Pool

Found = TypeVar("Found", covariant=True)


class Predecessor(Protocol[Found]):
    """An earlier version of a new alert's thread that has not ended.

    ends: all of it says that a danger is over. finished_at: when its last delivery was settled;
    None while some are open.
    """

    @property
    def id(self) -> Found: ...

    @property
    def alert(self) -> Alert: ...

    @property
    def ends(self) -> bool: ...

    @property
    def finished_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Named(Generic[Id]):
    """Alerts by their names.

    versions: those of a new alert's status and scope. across: (sender, identifier, status, scope)
    of those of another.
    """

    versions: Sequence[Version[Id]]
    across: Sequence[tuple[str, str, str, str]] = ()


class EarlierAlerts(Protocol[Id]):
    """The alerts before a new one. All but `named` answer for its status and scope alone."""

    def new_id(self, identifier: str) -> Id:
        """The name of a thread, and of an event, that begins with this alert."""

    async def named(self, new: Alert) -> Named[Id]:
        """Those with one of its names (`referring.names_of`), or that refer to one of these names;
        and those of another status or scope that it refers to."""

    async def of_sender(
        self, new: Alert, *, now: datetime
    ) -> Sequence[tuple[Version[Id], Signature]]:
        """The alerts of its sender whose danger is not over, the newest first."""

    async def alike(
        self, new: Alert, blocks: Sequence[str], *, since: datetime, limit: int
    ) -> Mapping[Id, Candidate[Id]]:
        """By id the newest alerts that share a block with it, the newest first; cancelled ones left
        out."""

    async def words(
        self, status: Status, alike: Mapping[Id, Candidate[Id]], *, recent: int
    ) -> Pool:
        """The words of these, and of the `recent` newest alerts of this status."""

    async def newer(self, thread_id: Id, than: datetime) -> Sequence[Alert]:
        """The versions of a thread that come after `than` and are for citizens."""

    async def live(self, thread_id: Id, *, before: datetime, but: Id) -> Sequence[Predecessor[Id]]:
        """The versions of a thread before `before` that have not ended, `but` left out."""

    async def issued(
        self, principal: Principal, sender: str, *, since: datetime, until: datetime
    ) -> Issued:
        """How many Actual alerts of a principal took effect; `until` is excluded."""


class Register(Protocol):
    """The citizens, as far as intake asks for them."""

    async def at_least(self, alert: Alert, people: int) -> bool:
        """True when an alert's areas hold at least this many people."""

    async def count(self, alert: Alert, *, unless_below: int) -> int:
        """About how many citizens an alert's areas hold; any smaller number where no more than
        `unless_below`."""

    async def unknown_codes(self, alert: Alert, *, least: int) -> Sequence[NamedValue]:
        """The geocodes of an alert that fewer than `least` citizens have."""
