"""Who is told: one citizen as the planner sees them for one alert."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a citizen; `usable` when consented, verified and not suspended."""

    channel: str
    address_id: int
    usable: bool


@dataclass(frozen=True, slots=True)
class Recipient:
    """A citizen in an alert's area.

    info_no: the info of the alert that fits this citizen's place, then language.
    area_no: the area of that info the citizen is in; -1 where none (a cancel's notice).
    targets: in the citizen's order of channels, unusable ones included.
    """

    citizen_id: int
    language: str
    info_no: int
    area_no: int
    targets: tuple[Target, ...]
