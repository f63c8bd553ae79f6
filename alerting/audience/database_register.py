"""The register as one transaction sees it: what intake asks of it before it accepts an alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.domain.alert import Alert, NamedValue


@dataclass(frozen=True, slots=True)
class DatabaseRegister:
    """`alerting.dispatch.placement.earlier.Register` of a transaction."""

    connection: AsyncConnection

    async def at_least(self, alert: Alert, people: int) -> bool:
        return await audience.at_least(self.connection, alert, people)

    async def count(self, alert: Alert, *, unless_below: int) -> int:
        return await audience.count(self.connection, alert, unless_below=unless_below)

    async def unknown_codes(self, alert: Alert, *, least: int) -> Sequence[NamedValue]:
        return await audience.unknown_codes(self.connection, alert, least=least)
