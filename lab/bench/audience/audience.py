"""The audience of an area: a polygon that holds one in ten of ten million citizens, who live in
towns of very different size, some with two places.

Compared with a box in SQL and a test of each point in Python, the usual way without a spatial
index.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psycopg
import shapely
from numpy.typing import NDArray

from alerting import examples
from alerting.audience.populate import people, populate
from alerting.audience.towns import found_towns
from alerting.cap import read, to_xml
from alerting.domain.alert import Area, Polygon, Severity
from alerting.embedded import engines
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.db import Database
from alerting.store.migrate import migrate
from lab.bench.population import hold_nothing_up
from lab.bench.report import Options, Report, Table, Target

#: Corners of a polygon, and about how many of all it holds.
_CORNERS, _PART = 200, 0.1

_REGION = shapely.box(-4.0, 48.0, 12.0, 56.0)
_SEED = 1


def run(options: Options) -> Report:
    """Fill a directory and plan an alert to a tenth of it by either way.

    Raises WorkFailed where a way does not find exactly the citizens of the area: no figure is valid
    then.
    """
    count = 20_000 if options.quick else 10_000_000
    rounds = 1 if options.quick else 3
    subject: list[Mapping[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with engines.start(folder / "var") as running:
            migrate(running.database_url)
            options.say(f"Settling {count:,} citizens …")
            start = time.perf_counter()
            asyncio.run(_settle(running.database_url, count))
            settled_s = time.perf_counter() - start
            settings = Settings(
                var=folder / "var",
                database_url=running.database_url,
                redis_url=running.redis_url,
                broker_url=running.redis_url,
            )
            land = Land.of(count)
            # Other areas in turn, so that less of one plan is in memory for the next.
            areas = [land.area(no) for no in range(rounds + 1)]
            for no, area in enumerate(areas[:-1]):
                expected = land.inside(area)
                options.say(f"Planning for {len(expected):,} of them …")
                subject.append(_subject(folder, settings, no, area, expected))
            options.say("The plain way …")
            plain = _plain(running.database_url, areas[-1], land.inside(areas[-1]))
    return _report(subject, plain, count=count, settled_s=settled_s)


@dataclass(frozen=True, slots=True)
class Land:
    """Where everybody lives, as drawn and not as stored: what is found is held against it.

    Attributes:
        numbers: For each place its citizen.
        towns: Centres (lon, lat), the largest first.
    """

    numbers: NDArray[np.int64]
    lats: NDArray[np.float64]
    lons: NDArray[np.float64]
    towns: NDArray[np.float64]

    @classmethod
    def of(cls, count: int) -> Land:
        """The land that `_settle` fills."""
        batches = [(b.owners + b.first, b.lats, b.lons) for b in people(count, _REGION, seed=_SEED)]
        numbers, lats, lons = (np.concatenate(column) for column in zip(*batches, strict=True))
        towns = found_towns(count, _REGION, np.random.default_rng((_SEED, 0)))
        return cls(numbers, lats, lons, towns.centres[np.argsort(-towns.shares)])

    def area(self, no: int) -> shapely.Polygon:
        """A polygon of many corners around the town of this rank, wide enough to hold the wanted
        share of citizens."""
        lon, lat = self.towns[no]
        squeeze = math.cos(math.radians(lat))
        far = np.hypot((self.lons - lon) * squeeze, self.lats - lat)
        radius = float(np.quantile(far, _PART))
        turns = [2 * math.pi * n / _CORNERS for n in range(_CORNERS)]
        corners = [
            (round(lon + radius / squeeze * math.cos(t), 6), round(lat + radius * math.sin(t), 6))
            for t in turns
        ]
        return shapely.Polygon(corners)

    def inside(self, area: shapely.Polygon) -> NDArray[np.int64]:
        """The numbers of all citizens with a place in it, ascending."""
        west, south, east, north = area.bounds
        box = (
            (self.lons >= west) & (self.lons <= east) & (self.lats >= south) & (self.lats <= north)
        )
        near = np.flatnonzero(box)
        shapely.prepare(area)
        return np.unique(
            self.numbers[near[shapely.intersects_xy(area, self.lons[near], self.lats[near])]]
        )


async def _settle(database_url: str, count: int) -> None:
    await populate(database_url, count, _REGION, seed=_SEED)
    db = Database(database_url)
    async with db.begin() as connection:
        await hold_nothing_up(connection)
    await db.close()


def _subject(
    folder: Path,
    settings: Settings,
    no: int,
    area: shapely.Polygon,
    expected: NDArray[np.int64],
) -> Mapping[str, float]:
    path = folder / f"alert-{no}.xml"
    path.write_bytes(_alert(no, area))
    found = _child("lab.bench.audience.plan", str(path), env=settings.to_environment())
    _judge(settings.database_url, "delivery", expected)
    with psycopg.connect(settings.database_url, autocommit=True) as db:
        db.execute("truncate delivery, outbox, alert cascade")
    return found | {"citizens": len(expected)}


def _plain(
    database_url: str, area: shapely.Polygon, expected: NDArray[np.int64]
) -> Mapping[str, float]:
    found = _child("lab.bench.baselines.plain_audience", database_url, area.wkt)
    _judge(database_url, "baseline_delivery", expected)
    return found | {"citizens": len(expected)}


def _judge(database_url: str, table: str, expected: NDArray[np.int64]) -> None:
    """Raises WorkFailed unless each expected citizen was found once and nobody else."""
    with psycopg.connect(database_url) as db, db.cursor(binary=True) as cursor:
        cursor.execute(
            "select substring(c.ref from 'synthetic-(.*)')::int8"  # noqa: S608 - ours
            f" from {table} d join citizen c on c.id = d.citizen_id"
        )
        found = np.sort(np.array([row[0] for row in cursor], np.int64))
    if not np.array_equal(found, expected):
        raise WorkFailed(
            f"Found {len(found):,}, of them {len(np.unique(found)):,} different citizens, where "
            f"{len(expected):,} live; {len(np.setdiff1d(expected, found)):,} were missed."
        )


def _child(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | dict(env or {}), check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _alert(no: int, area: shapely.Polygon) -> bytes:
    alert = read(examples.FLOOD.read_bytes()).alerts[0]
    ring = tuple((lat, lon) for lon, lat in area.exterior.coords)
    info = replace(
        alert.infos[0],
        severity=Severity.SEVERE,
        areas=(Area(f"Around town {no}", polygons=(Polygon(ring),)),),
    )
    return to_xml(replace(alert, identifier=f"bench-audience-{no}", infos=(info,)))


def _report(
    subject: Sequence[Mapping[str, float]],
    plain: Mapping[str, float],
    *,
    count: int,
    settled_s: float,
) -> Report:
    worst = {name: max(o[name] for o in subject) for name in subject[0]}
    rows: list[tuple[str, ...]] = [
        (f"ours, area {n + 1}", f"{o['citizens']:,}", f"{o['first_s']:.2f}", f"{o['all_s']:.1f}",
         f"{o['cpu_s'] / o['citizens'] * 1e6:.1f}", f"{o['before_mb']:.0f}", f"{o['peak_mb']:.0f}")
        for n, o in enumerate(subject)
    ]  # fmt: skip
    rows.append(("box and points", f"{plain['citizens']:,}", f"{plain['first_s']:.2f}",
                 f"{plain['all_s']:.1f}", "–", "–", "–"))  # fmt: skip
    return Report(
        tables=[Table(f"A tenth of {count:,} citizens", _COLUMNS, rows)],
        targets=[
            Target("first chunk ready, the slowest", 0.5, worst["first_s"], True, "s"),
            Target("all planned, the slowest", 30.0, worst["all_s"], True, "s"),
            Target("memory of the planner", 200.0, worst["peak_mb"], True, "MB"),
        ],
        figures={"citizens": count, "settled_s": settled_s, "ours": [dict(o) for o in subject],
                 "plain": dict(plain)},
        notes=[f"The directory was filled in {settled_s:,.0f} s.",
               "Both write a row for each citizen found; ours also chooses addresses, language "
               "and area, and makes chunks of a thousand. The plain way remembers whom it met."],
    )  # fmt: skip


_COLUMNS = ("way", "citizens", "first s", "all s", "own µs each", "MB before", "MB at most")
