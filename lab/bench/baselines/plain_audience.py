"""An audience the plain way: an index on latitude and longitude, the polygon's box in SQL, each
point tested in Python, the hits written by COPY, a thousand at a time.

Run as `python -m lab.bench.baselines.plain_audience DATABASE_URL WKT`; prints as JSON the seconds
to the first thousand and to the last. The index is made before the clock starts.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg
import shapely

BATCH = 1000


def plan(database_url: str, wkt: str) -> dict[str, float]:
    """Find everybody in the polygon and write a row for each."""
    area = shapely.from_wkt(wkt)
    shapely.prepare(area)
    west, south, east, north = area.bounds
    with psycopg.connect(database_url) as reading, psycopg.connect(database_url) as writing:
        writing.execute("create table baseline_delivery (citizen_id bigint, state text)")
        writing.execute("create index baseline_place on place (lat, lon)")
        writing.execute("analyze place")
        writing.commit()
        start, first_s = time.perf_counter(), 0.0
        hits: list[int] = []
        met: set[int] = set()

        def write() -> None:
            with writing.cursor().copy("copy baseline_delivery from stdin") as copy:
                for citizen_id in hits:
                    copy.write_row((citizen_id, "planned"))
            writing.commit()
            hits.clear()

        with reading.cursor(name="box") as cursor:
            cursor.itersize = 10_000
            cursor.execute(
                "select citizen_id, lon, lat from place"
                " where lat between %s and %s and lon between %s and %s",
                (south, north, west, east),
            )
            for citizen_id, lon, lat in cursor:
                # A citizen with two places is notified once; that takes memory for everybody.
                if citizen_id not in met and area.intersects(shapely.Point(lon, lat)):
                    met.add(citizen_id)
                    hits.append(citizen_id)
                if len(hits) == BATCH:
                    write()
                    first_s = first_s or time.perf_counter() - start
        write()
        all_s = time.perf_counter() - start
    return {"first_s": first_s or all_s, "all_s": all_s}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(plan(sys.argv[1], sys.argv[2])) + "\n")
