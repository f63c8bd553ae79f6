"""Citizens' own clocks: which calendar day it is for them, and whether their hours are quiet.

Worked out here from the citizen's record and the policy's defaults alone, and not by the throttle:
the oracle must not learn from the throttle whether it broke a quiet hour.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from alerting.replay.population import Population
from alerting.throttle.policy.parse import Policy


class Clocks:
    """Tells the time of every citizen of a population; without their own zone, the policy's."""

    def __init__(self, population: Population, policy: Policy) -> None:
        default = policy.quiet.start, policy.quiet.end
        self._zones: list[tzinfo] = [
            _zone(c.time_zone or policy.quiet.time_zone) for c in population.citizens
        ]
        self._quiet: list[tuple[time, time]] = [c.quiet or default for c in population.citizens]
        # Most questions are about the same instant for many citizens of one zone.
        self._at: datetime | None = None
        self._locals: dict[tzinfo, datetime] = {}

    def day(self, citizen: int, at: datetime) -> int:
        """The citizen's calendar day, as a number."""
        return self._local(citizen, at).toordinal()

    def quiet(self, citizen: int, at: datetime, until: datetime) -> bool:
        """True within the citizen's quiet hours, where they are over before `until`; equal times
        mean that there are none."""
        start, end = self._quiet[citizen]
        now = self._local(citizen, at)
        night = start <= now.time() < end if start <= end else not end <= now.time() < start
        if not night or start == end:
            return False
        over = datetime.combine(now.date(), end, now.tzinfo)
        return until > (over if over > now else over + timedelta(days=1))

    def _local(self, citizen: int, at: datetime) -> datetime:
        if at != self._at:
            self._at = at
            self._locals.clear()
        zone = self._zones[citizen]
        if zone not in self._locals:
            self._locals[zone] = at.astimezone(zone)
        return self._locals[zone]


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
