"""What planning writes into the ledger, and what it finds of an earlier planner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import int8s, raw
from alerting.store.schema import CHUNK_SPAN

_COPY = """
    copy delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no, places, follows)
    from stdin (format binary)"""

_FIELDS = 9

#: Before the first and after the last row of a binary COPY.
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


class NewDelivery(NamedTuple):
    """A delivery to write.

    Attributes:
        follows: The delivery by another channel that was not delivered.
    """

    citizen_id: int
    address_id: int
    info_no: int
    area_no: int
    places: int = 0
    follows: int | None = None


async def add(
    connection: AsyncConnection,
    alert_id: UUID,
    chunks: Iterable[tuple[int, str, Sequence[NewDelivery]]],
) -> None:
    """Write the deliveries of chunks (chunk id, channel, deliveries) of one alert by COPY.

    Their ids follow from the chunks'.
    """
    driver = await raw(connection)
    async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(_HEAD)
        for chunk_id, channel, rows in chunks:
            await copy.write(_packed(chunk_id * CHUNK_SPAN, alert_id, channel, rows))
        await copy.write(_END)


def _packed(first: int, alert_id: UUID, channel: str, rows: Sequence[NewDelivery]) -> bytes:
    """The rows as a binary COPY wants them: each field its length and its value, big-endian.

    Made column by column; one by one took most of a planner's time.
    """
    parts = []
    # An empty field has no bytes, so rows with and without a `follows` are of different length.
    for empty, some in groupby(rows, key=lambda r: r.follows is None):
        part = list(some)
        parts.append(_same_width(first, alert_id, channel.encode(), part, follows=not empty))
        first += len(part)
    return b"".join(parts)


def _same_width(
    first: int, alert_id: UUID, channel: bytes, rows: Sequence[NewDelivery], *, follows: bool
) -> bytes:
    citizens, addresses, infos, areas, places, followed = zip(*rows, strict=True)
    columns: list[tuple[str, Any]] = [
        (">i8", np.arange(first, first + len(rows))),
        ("V16", np.void(alert_id.bytes)),
        (">i8", citizens),
        (">i8", addresses),
        (f"V{len(channel)}", np.void(channel)),
        (">i2", infos),
        (">i2", areas),
        (">i2", places),
    ]
    if follows:
        columns.append((">i8", followed))
    row = [("fields", ">i2")]
    for no, (kind, _) in enumerate(columns):
        row += [(f"length{no}", ">i4"), (f"value{no}", kind)]
    if not follows:
        row.append(("empty", ">i4"))
    table = np.empty(len(rows), np.dtype(row))
    table["fields"] = _FIELDS
    for no, (kind, values) in enumerate(columns):
        table[f"length{no}"] = np.dtype(kind).itemsize
        table[f"value{no}"] = values
    if not follows:
        table["empty"] = -1
    return table.tobytes()


async def planned(
    connection: AsyncConnection, alert_id: UUID, citizen_ids: Sequence[int]
) -> list[int]:
    """Those of the citizens for whom the ledger has a delivery of this alert, without digests.

    A digest's row names one of the alerts in it, also for citizens whom that alert does not
    concern.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        """select distinct d.citizen_id from delivery d join outbox o on o.id = d.id / %(span)s
           where d.citizen_id = any(%(ids)s::int8[]) and d.alert_id = %(alert)s and not o.digest""",
        {"span": CHUNK_SPAN, "ids": int8s(citizen_ids), "alert": alert_id},
    )
    return [row[0] for row in await cursor.fetchall()]


async def count_planned(connection: AsyncConnection, alert_id: UUID) -> int:
    """The number of citizens for whom the ledger has a delivery of this alert, without digests."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select count(distinct d.citizen_id) from outbox o
           join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
           where o.alert_id = %(alert)s and o.kind = 'deliver' and not o.digest""",
        {"span": CHUNK_SPAN, "alert": alert_id},
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
