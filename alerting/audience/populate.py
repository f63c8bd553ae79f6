"""Populate: insert millions of synthetic citizens into the directory, in numbered batches.

`synthetic` creates objects; this creates columns and writes them by COPY: memory stays flat, and
ten million take minutes. Equally fictional: +999 numbers, `example.org`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from alerting.audience.h3_cover import RESOLUTION
from alerting.audience.synthetic import CHANNELS, SHARES
from alerting.audience.towns import found_towns
from alerting.errors import Conflict
from alerting.store.citizens import citizen_rows
from alerting.store.citizens.citizen_rows import Table
from alerting.store.db import Database

#: Citizens of one transaction.
BATCH = 50_000

#: Concurrent transactions: while one writes, the next is generated.
_WRITERS = 2

#: How many have a second place, such as their workplace.
_TWO_PLACES = 0.15

LANGUAGES: Mapping[str, float] = {"en": 0.75, "es": 0.25}


@dataclass(frozen=True, slots=True)
class People:
    """The citizens `first` to `first + n - 1` as columns.

    Attributes:
        owners: For each place its citizen's index in the batch; the first n places are the homes.
    """

    first: int
    languages: list[str]
    channels: list[tuple[str, ...]]
    owners: NDArray[np.int64]
    lats: NDArray[np.float64]
    lons: NDArray[np.float64]


def people(
    count: int,
    area: BaseGeometry,
    *,
    seed: int,
    first: int = 0,
    languages: Mapping[str, float] = LANGUAGES,
) -> Iterator[People]:
    """Yield `count` citizens in and around `area`, batch by batch, the same for the same
    arguments."""
    towns = found_towns(count, area, np.random.default_rng((seed, first)))
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        rng = np.random.default_rng((seed, first, start + 1))
        second = np.flatnonzero(rng.random(n) < _TWO_PLACES)
        lats, lons = towns.homes(n + len(second), rng, wider=True)
        kinds = rng.choice(len(CHANNELS), size=n, p=SHARES)
        yield People(
            first + start,
            [str(v) for v in rng.choice(list(languages), size=n, p=list(languages.values()))],
            [CHANNELS[k] for k in kinds],
            np.concatenate((np.arange(n), second)),
            # A tenth of a metre: what is compared later equals what was written.
            np.round(lats, 6),
            np.round(lons, 6),
        )


async def populate(
    database_url: str,
    count: int,
    area: BaseGeometry,
    *,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Add `count` synthetic citizens to a directory that holds no others; returns the first number.

    Existing synthetic citizens stay, and numbers continue after theirs. Each batch is one
    transaction: an interruption leaves whole citizens.

    Args:
        progress: Called with the number inserted.

    Raises:
        Conflict: Having changed nothing, when there are real ones.
    """
    db = Database(database_url, pool_size=_WRITERS)
    try:
        first = await _next_number(db)
        done = 0
        turn = asyncio.Semaphore(_WRITERS)

        async def write(batch: People) -> None:
            nonlocal done
            try:
                await _store(db, batch)
            finally:
                turn.release()
            done += len(batch.languages)
            progress(done)

        async with asyncio.TaskGroup() as group:
            for batch in people(count, area, seed=seed, first=first):
                await turn.acquire()
                group.create_task(write(batch))
    finally:
        await db.close()
    await citizen_rows.vacuum(database_url)
    return first


async def _next_number(db: Database) -> int:
    async with db.begin(patient=True) as connection:
        others, last = await citizen_rows.numbered(connection, "synthetic-")
    if others:
        raise Conflict(
            f"The directory holds citizens who are not synthetic ({others:,}).",
            remedy="Generate into a database of its own (DATABASE_URL), or remove them first.",
        )
    return 0 if last is None else last + 1


async def _store(db: Database, batch: People) -> None:
    n = len(batch.languages)
    async with db.begin(patient=True) as connection:
        ids = await citizen_rows.new_ids(connection, n)
        for table, lines in (
            (Table.CITIZEN, _citizens(batch, ids)),
            (Table.PLACE, _places(batch, ids)),
            (Table.ADDRESS, _addresses(batch, ids)),
        ):
            await citizen_rows.write_lines(connection, table, lines)


def _citizens(batch: People, ids: list[int]) -> Iterator[str]:
    for no, (id_, language, channels) in enumerate(
        zip(ids, batch.languages, batch.channels, strict=True), batch.first
    ):
        yield f"{id_}\tsynthetic-{no}\t{language}\t{{{','.join(channels)}}}\n"


def _places(batch: People, ids: list[int]) -> Iterator[str]:
    lats, lons, owners = batch.lats.tolist(), batch.lons.tolist(), batch.owners.tolist()
    cells = [h3.latlng_to_cell(lat, lon, RESOLUTION) for lat, lon in zip(lats, lons, strict=True)]
    # By cell, so that an index page is written once and not for each place again.
    for i in np.argsort(cells).tolist():
        what = "0\thome" if i < len(ids) else "1\twork"
        yield f"{ids[owners[i]]}\t{what}\t{lats[i]}\t{lons[i]}\t{cells[i]}\n"


def _addresses(batch: People, ids: list[int]) -> Iterator[str]:
    for no, (id_, channels) in enumerate(zip(ids, batch.channels, strict=True), batch.first):
        for channel in channels:
            if channel == "sms":
                yield f"{id_}\tsms\t+999{no:09d}\t{{}}\n"
            elif channel == "email":
                yield f"{id_}\temail\tc{no}@example.org\t{{}}\n"
            else:
                yield f"{id_}\tpush\thttps://push.example.org/c{no}\t{{}}\n"
