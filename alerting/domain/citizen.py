"""Recipients: one citizen as the planner sees them for one alert."""

from __future__ import annotations

from typing import NamedTuple

#: Bits of `Recipient.places`: the first for places, the rest for geocodes; a smallint in all.
_PLACES = 8
_GEOCODES = 7


# Tuples, because they are created by the million: a frozen dataclass takes three times as long.
class Target(NamedTuple):
    """One address of a citizen; `usable` when consented, verified and not suspended."""

    channel: str
    address_id: int
    usable: bool


class Recipient(NamedTuple):
    """A citizen in an alert's area.

    Attributes:
        info_no: The info that fits this citizen's place, then language (`domain.said`).
        area_no: The area of its first info that the citizen is in; -1 for none (a Cancel's notice).
        places: Which of the citizen's places lie in the alert's areas, as bits.
        targets: In the citizen's order of channels, unusable ones included.
    """

    citizen_id: int
    language: str
    info_no: int
    area_no: int
    targets: tuple[Target, ...]
    places: int = 0


def place_bit(no: int) -> int:
    """The bit of a citizen's place number `no`; places beyond the eighth share one."""
    return 1 << min(no, _PLACES - 1)


def geocode_bit(no: int) -> int:
    """The bit of a citizen's geocode number `no`; geocodes beyond the seventh share one."""
    return 1 << _PLACES + min(no, _GEOCODES - 1)
