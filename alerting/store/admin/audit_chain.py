"""The chain of the audit: each line is sealed with a hash of itself and of the line before it.

Writers never wait: a maintenance duty seals the committed lines, in the order in which it finds
them. Whoever can write to the database can rebuild the whole chain, so the last hash is also
logged; a copy kept elsewhere shows a rebuilt chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import BadInput
from alerting.store.audit_log import Entry, entry
from alerting.store.db import raw
from alerting.store.schema import audit

#: Before the first line.
_BEGINNING = bytes(32)

#: Lines read at a time.
_BATCH = 1000

#: Breaks that are listed; of more only the fact is reported.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Head:
    """The last sealed line."""

    seq: int = 0
    hash: bytes = _BEGINNING

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @staticmethod
    def parse(text: str) -> Head:
        """Read a head as it is printed. Raises BadInput."""
        seq, _, digest = text.partition(":")
        try:
            head = Head(int(seq), bytes.fromhex(digest))
        except ValueError:
            head = Head(-1)
        if head.seq < 1 or len(head.hash) != len(_BEGINNING):
            raise BadInput(
                f"{text[:80]!r} is no head of the audit.",
                remedy="Write it as the log has it: `audit.sealed head=NUMBER:HASH`.",
            )
        return head


@dataclass(frozen=True, slots=True)
class Broken:
    """A place at which the chain does not hold, and what that shows."""

    seq: int
    what: str


@dataclass(slots=True)
class Verified:
    """The result of verifying the whole chain.

    Attributes:
        unsealed: Number of lines that are not in it yet.
    """

    sealed: int = 0
    unsealed: int = 0
    head: Head = field(default_factory=Head)
    broken: list[Broken] = field(default_factory=list)


async def seal(connection: AsyncConnection, *, limit: int) -> tuple[int, Head]:
    """Add up to `limit` lines to the chain, in one process at a time. Returns how many, and the
    new head."""
    query = select(audit).where(audit.c.seq.is_(None)).order_by(audit.c.id).limit(limit)
    rows = [entry(row) for row in await connection.execute(query)]
    if not rows:
        return 0, Head()
    head, sealed = await _head(connection), []
    for row in rows:
        head = Head(head.seq + 1, _link(head.hash, head.seq + 1, row))
        sealed.append(head)
    driver = await raw(connection)
    await driver.execute(
        """update audit a set seq = s.seq, hash = s.hash
           from unnest(%s::int8[], %s::int8[], %s::bytea[]) as s(id, seq, hash)
           where a.id = s.id""",
        ([r.id for r in rows], [h.seq for h in sealed], [h.hash for h in sealed]),
    )
    return len(rows), head


async def verify(connection: AsyncConnection, *, noted: Head | None = None) -> Verified:
    """Verify every line of the chain.

    Args:
        noted: A head that was kept elsewhere and must still be in the chain.
    """
    found = Verified()
    at_noted: bytes | None = None
    async for line in _sealed(connection):
        before, seq, digest = found.head, line.seq or 0, line.hash or b""
        if seq != before.seq + 1:
            _note(found, seq, f"lines {before.seq + 1} to {seq - 1} are missing")
        elif digest != _link(before.hash, seq, line):
            _note(found, seq, "the line was changed, or another was put in its place")
        found.head = Head(seq, digest)
        found.sealed += 1
        if noted is not None and seq == noted.seq:
            at_noted = digest
    if noted is not None and at_noted is None:
        _note(found, noted.seq, "the chain ends before the head that was noted")
    elif noted is not None and at_noted != noted.hash:
        _note(found, noted.seq, "the chain is another than the one whose head was noted")
    query = select(func.count()).select_from(audit).where(audit.c.seq.is_(None))
    found.unsealed = await connection.scalar(query) or 0
    return found


def _note(found: Verified, seq: int, what: str) -> None:
    if len(found.broken) < _MOST:
        found.broken.append(Broken(seq, what))


async def _head(connection: AsyncConnection) -> Head:
    query = select(audit.c.seq, audit.c.hash).where(audit.c.seq.is_not(None))
    row = (await connection.execute(query.order_by(audit.c.seq.desc()).limit(1))).first()
    return Head() if row is None else Head(row.seq, bytes(row.hash))


async def _sealed(connection: AsyncConnection) -> AsyncIterator[Entry]:
    after = -1
    while True:
        query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_BATCH)
        rows = [entry(row) for row in await connection.execute(query)]
        if not rows:
            return
        for row in rows:
            yield row
        after = rows[-1].seq or 0


def _link(before: bytes, seq: int, line: Entry) -> bytes:
    """The hash of a line at its place."""
    said = [
        seq, line.id, line.at.isoformat(), line.actor, line.action, line.subject, line.detail,
    ]  # fmt: skip
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(before + text.encode()).digest()
