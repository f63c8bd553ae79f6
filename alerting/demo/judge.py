"""The judge: compares who should have been told with what the carriers themselves wrote down.

It trusts neither our ledger nor our index: the expected audience is worked out citizen by citizen
with plain geometry, and what arrived is read from the carriers' own logs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import shapely
from shapely import Polygon

from alerting.audience.synthetic import SyntheticCitizen
from alerting.domain.alert import Alert

#: (channel, endpoint as the carrier writes it)
Told = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """lost: expected and never received; duplicates: received more than once, counted beyond the
    first; unexpected: received by someone who should not have been told."""

    expected: int
    received: int
    lost: int
    duplicates: int
    unexpected: int
    by_channel: dict[str, dict[str, int]]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicates or self.unexpected)


def expected_audience(
    alert: Alert, citizens: Iterable[SyntheticCitizen], *, all_channels: bool
) -> set[Told]:
    """Who should be told and how: each citizen whose home lies in a polygon of the alert.

    By every address of theirs when `all_channels`, else by those of the first channel they have.
    """
    rings = {p.points for i in alert.infos for a in i.areas for p in a.polygons}
    area = shapely.union_all([Polygon([(lon, lat) for lat, lon in ring]) for ring in rings])
    shapely.prepare(area)
    told: set[Told] = set()
    for c in citizens:
        if not shapely.intersects_xy(area, c.lon, c.lat):
            continue
        first = next((ch for ch in c.channels if ch in c.endpoints), None)
        told |= {
            (channel, endpoint)
            for channel, endpoint in c.endpoints.items()
            if all_channels or channel == first
        }
    return told


def judge(expected: set[Told], received: Iterable[Told]) -> Judgement:
    """Compare the two, channel by channel."""
    arrived = Counter(received)
    by_channel = {
        channel: {
            "expected": sum(1 for c, _ in expected if c == channel),
            "received": sum(n for (c, _), n in arrived.items() if c == channel),
        }
        for channel in sorted({c for c, _ in expected} | {c for c, _ in arrived})
    }
    return Judgement(
        expected=len(expected),
        received=arrived.total(),
        lost=len(expected - arrived.keys()),
        duplicates=sum(n - 1 for n in arrived.values()),
        unexpected=len(arrived.keys() - expected),
        by_channel=by_channel,
    )
