"""The audience of an area: a polygon that holds one in ten of ten million citizens.

Beside it the same by a box in SQL and a test of each point in Python, as one writes it without a
spatial index.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import shapely

from alerting.bench.crowd import District, districts, hold_nothing_up, settle_down
from alerting.bench.report import Options, Report, Table, Target
from alerting.cap import read, to_xml
from alerting.domain.alert import Area, Polygon, Severity
from alerting.embedded import engines
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.db import Database, raw
from alerting.store.migrate import migrate

#: Corners of the polygon.
_CORNERS = 200


def run(options: Options) -> Report:
    """Fill a directory, plan an alert to a tenth of it in either way. Raises WorkFailed where
    either has not found exactly those who live there: then no figure is worth anything."""
    everywhere = districts([2_000 if options.quick else 1_000_000] * 10)
    rounds = 1 if options.quick else 3
    ours: list[Mapping[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with engines.start(folder / "var") as running:
            migrate(running.database_url)
            options.say(f"Settling {sum(d.count for d in everywhere):,} citizens …")
            asyncio.run(_settle(running.database_url, everywhere))
            settings = Settings(
                var=folder / "var",
                database_url=running.database_url,
                redis_url=running.redis_url,
                broker_url=running.redis_url,
            )
            # Other districts in turn, so that nothing of one plan is in memory for the next.
            for district in everywhere[:rounds]:
                options.say(f"Planning for {district.count:,} of them …")
                ours.append(_ours(folder, settings, district))
            options.say("The plain way …")
            plain = _plain(running.database_url, everywhere[rounds])
    return _report(ours, plain, everywhere)


async def _settle(database_url: str, everywhere: Sequence[District]) -> None:
    db = Database(database_url)
    async with db.begin(patient=True) as connection:
        driver = await raw(connection)
        # As a restore does it; the tables are new and empty.
        await driver.execute("set local maintenance_work_mem = '1GB'")
        await settle_down(connection, everywhere)
        await hold_nothing_up(connection)
    await db.close()


def _ours(folder: Path, settings: Settings, district: District) -> Mapping[str, float]:
    path = folder / f"alert-{district.no}.xml"
    path.write_bytes(_alert(district))
    with psycopg.connect(settings.database_url, autocommit=True) as db:
        found = _child("alerting.bench.audience_plan", str(path), env=settings.to_environment())
        rows = db.execute(
            "select count(*), count(distinct d.citizen_id), min(d.citizen_id), max(d.citizen_id)"
            " from delivery d where d.citizen_id between %s and %s",
            (district.numbers[0], district.numbers[-1]),
        ).fetchone()
        everybody = db.execute("select count(*) from delivery").fetchone()
        db.execute("truncate delivery, outbox, alert cascade")
    _judge(rows, everybody, district)
    return found


def _plain(database_url: str, district: District) -> Mapping[str, float]:
    found = _child("alerting.bench.peers.plain_audience", database_url, _polygon(district).wkt)
    with psycopg.connect(database_url) as db:
        rows = db.execute(
            "select count(*), count(distinct citizen_id), min(citizen_id), max(citizen_id)"
            " from peer_delivery"
        ).fetchone()
    _judge(rows, rows, district)
    return found


def _judge(rows: Any, everybody: Any, district: District) -> None:
    """Each of the district once, and nobody besides."""
    expected = (district.count, district.count, district.numbers[0], district.numbers[-1])
    if tuple(rows) != expected or everybody[0] != district.count:
        raise WorkFailed(f"Found {rows[1]:,} and {everybody[0]:,} of {district.count:,} citizens.")


def _child(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | dict(env or {}), check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _polygon(district: District) -> shapely.Polygon:
    """A circle of many corners around the whole district, and far from any other."""
    lats, lons = zip(*district.polygon().points, strict=True)
    lat, lon = (min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2
    radius = (max(lats) - min(lats)) * 0.75
    turns = [2 * math.pi * n / _CORNERS for n in range(_CORNERS)]
    return shapely.Polygon(
        [(lon + radius * math.cos(t), lat + radius * math.sin(t)) for t in turns]
    )


def _alert(district: District) -> bytes:
    alert = read(district.alert(Severity.SEVERE, f"audience-{district.no}")).alerts[0]
    ring = tuple((lat, lon) for lon, lat in _polygon(district).exterior.coords)
    area = Area(f"District {district.no}", polygons=(Polygon(ring),))
    infos = tuple(replace(i, areas=(area,)) for i in alert.infos)
    return to_xml(replace(alert, infos=infos))


def _report(
    ours: Sequence[Mapping[str, float]], plain: Mapping[str, float], everywhere: Sequence[District]
) -> Report:
    count, total = everywhere[0].count, sum(d.count for d in everywhere)
    worst = {name: max(o[name] for o in ours) for name in ours[0]}
    rows: list[tuple[str, ...]] = [
        (f"ours, district {n + 1}", f"{o['first_s']:.2f}", f"{o['all_s']:.1f}",
         f"{o['before_mb']:.0f}", f"{o['peak_mb']:.0f}")
        for n, o in enumerate(ours)
    ]  # fmt: skip
    rows.append(("box and points", f"{plain['first_s']:.2f}", f"{plain['all_s']:.1f}", "–", "–"))
    return Report(
        tables=[Table(f"{count:,} of {total:,} citizens", _COLUMNS, rows)],
        targets=[
            Target("first chunk ready, the slowest", 1.0, worst["first_s"], True, "s"),
            Target("all planned, the slowest", 30.0, worst["all_s"], True, "s"),
            Target("memory of the planner", 200.0, worst["peak_mb"], True, "MB"),
        ],
        figures={"citizens": total, "in_area": count, "ours": [dict(o) for o in ours],
                 "plain": dict(plain)},
        notes=["Both write a row for each citizen found; ours also chooses addresses, language "
               "and area, and makes chunks of a thousand."],
    )  # fmt: skip


_COLUMNS = ("way", "first s", "all s", "MB before", "MB at most")
