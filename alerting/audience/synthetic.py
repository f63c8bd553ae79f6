"""Synthetic citizens for demos, benches and tests: seeded, clustered in towns, fictional.

Nothing here resembles a person: numbers have a country code that does not exist (+999), mail
addresses are of `example.org`. They never leave this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from shapely.geometry.base import BaseGeometry
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.h3_cover import cell_of
from alerting.audience.towns import found_towns
from alerting.store.citizens import citizen_rows
from alerting.store.citizens.citizen_rows import Table

#: Creates a push subscription for a name: (endpoint, keys).
MakePush = Callable[[str], tuple[str, Mapping[str, str]]]

#: Combinations of channels, and the share of people with each.
CHANNELS: Sequence[tuple[str, ...]] = (
    ("sms",),
    ("push", "sms"),
    ("sms", "email"),
    ("email", "sms"),
    ("push", "email"),
    ("push", "sms", "email"),
)
SHARES = (0.35, 0.2, 0.15, 0.1, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class SyntheticCitizen:
    """The true data of one of them: `endpoints` by channel, `channels` in their order."""

    ref: str
    language: str
    lat: float
    lon: float
    channels: tuple[str, ...]
    endpoints: Mapping[str, str]
    keys: Mapping[str, str]


def generate(
    count: int,
    area: BaseGeometry,
    *,
    seed: int,
    make_push: MakePush,
    languages: Mapping[str, float],
    first: int = 0,
) -> list[SyntheticCitizen]:
    """Create `count` citizens in and around `area`, the same for the same seed.

    Towns have very unequal sizes: three in four people live in towns inside the area, the rest in
    its bounds grown by a quarter on every side, and many near the very edge.
    """
    rng = np.random.default_rng(seed)
    lats, lons = found_towns(count, area, rng).homes(count, rng)
    tongues = rng.choice(list(languages), size=count, p=list(languages.values()))
    kinds = rng.choice(len(CHANNELS), size=count, p=SHARES)
    citizens = []
    for i in range(count):
        no = first + i
        channels = CHANNELS[kinds[i]]
        endpoints, keys = {}, {}
        for channel in channels:
            if channel == "sms":
                endpoints[channel] = f"+999{no:09d}"
            elif channel == "email":
                endpoints[channel] = f"c{no}@example.org"
            else:
                endpoint, subscription_keys = make_push(f"c{no}")
                endpoints[channel], keys = endpoint, dict(subscription_keys)
        citizens.append(
            SyntheticCitizen(
                f"synthetic-{no}",
                str(tongues[i]),
                float(lats[i]),
                float(lons[i]),
                channels,
                endpoints,
                keys,
            )
        )
    return citizens


async def store(connection: AsyncConnection, citizens: Sequence[SyntheticCitizen]) -> None:
    """Add them to the directory by COPY. Raises psycopg's UniqueViolation when they are there."""
    ids = await citizen_rows.new_ids(connection, len(citizens))
    every = list(zip(ids, citizens, strict=True))
    rows = [(id_, c.ref, c.language, list(c.channels)) for id_, c in every]
    await citizen_rows.write(connection, Table.CITIZEN, rows)
    homes = [(id_, 0, "home", c.lat, c.lon, cell_of(c.lat, c.lon)) for id_, c in every]
    await citizen_rows.write(connection, Table.PLACE, homes)
    addresses = [
        (id_, channel, endpoint, json.dumps(dict(c.keys) if channel == "push" else {}))
        for id_, c in every
        for channel, endpoint in c.endpoints.items()
    ]
    await citizen_rows.write(connection, Table.ADDRESS, addresses)
    await citizen_rows.analyze(connection)
