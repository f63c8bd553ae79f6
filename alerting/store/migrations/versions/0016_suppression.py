"""Suppression: a stop is of an endpoint, in any spelling and by any row, and outlives its rows.

Programs of the version before go on: they read `address.consent`, which stays what decides.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_BATCH = 1000

_OTHERWISE_SPELT = """
    select id, endpoint from address
    where channel = 'email' and folded is null and id > %(after)s and endpoint ~ '[A-Z]|[^ -~]'
    order by id limit %(batch)s"""

_FOLD = """
    update address a set folded = f.folded
    from unnest(%(ids)s::int8[], %(folded)s::text[]) as f(id, folded) where a.id = f.id"""

# What a citizen left themselves; and what a carrier said that they left, which was kept as a
# suspension of that one row.
_LEFT = """
    select id, channel, endpoint, withdrawn_at is null from address
    where (withdrawn_at is not null or suspended_reason = 'opted-out') and id > %(after)s
    order by id limit %(batch)s"""

_SUPPRESS = """
    insert into suppression (channel, key, source)
    select * from unnest(%(channels)s::text[], %(keys)s::bytea[], %(sources)s::text[])
    on conflict (channel, key) do nothing"""

_MARK = """
    update address a set consent = false, withdrawn_at = coalesce(a.withdrawn_at, now()),
      consent_before = case when a.withdrawn_at is null then a.consent else a.consent_before end,
      suspended_reason = nullif(a.suspended_reason, 'opted-out')
    from unnest(%(channels)s::text[], %(endpoints)s::text[]) as f(channel, endpoint)
    where (a.endpoint = f.endpoint or a.folded = f.endpoint) and a.channel = f.channel
      and coalesce(a.folded, a.endpoint) = f.endpoint
      and (a.withdrawn_at is null or a.suspended_reason = 'opted-out')"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        _tables()
        gently(_columns)
        index_concurrently("ix_address_folded", "address", "folded", "folded is not null")
        _fold()
        _suppress()
    works_with("0002")


def _tables() -> None:
    op.create_table(
        "suppression",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column(
            "key", sa.LargeBinary(), nullable=False, comment="HMAC of the endpoint's normal form"
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="link, reply, carrier"),
        _at("stopped_at", now=True),
        _at("lifted_at"),
        _at("changed_at", now=True),
        sa.PrimaryKeyConstraint("channel", "key", name=op.f("pk_suppression")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_suppression_changed_at"), "suppression", ["changed_at"], if_not_exists=True
    )
    op.create_table(
        "inbound",
        sa.Column(
            "ref", sa.Text(), nullable=False, comment="the provider's own, to do nothing twice"
        ),
        _at("received_at", now=True),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_inbound")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_inbound_received_at"), "inbound", ["received_at"], if_not_exists=True)


def _at(name: str, *, now: bool = False) -> sa.Column[Any]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        nullable=not now,
        server_default=sa.text("now()") if now else None,
    )


def _columns() -> None:
    op.execute("alter table address add column if not exists folded text")
    op.execute("alter table address add column if not exists consent_before boolean")
    op.execute(
        "comment on column address.folded is"
        " 'the endpoint''s normal form where it is spelt otherwise'"
    )
    op.execute(
        "comment on column address.consent_before is 'the register''s, while it is withdrawn'"
    )


def _rows(query: str) -> Iterator[Sequence[Any]]:
    """Batches of rows that begin with their id."""
    after = 0
    while True:
        values = {"after": after, "batch": _BATCH}
        rows = op.get_bind().exec_driver_sql(query, values).all()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def _normal(channel: str, endpoint: str) -> str:
    plain = endpoint.strip()
    if channel != "email":
        return plain
    name, at, domain = unicodedata.normalize("NFC", plain).casefold().rpartition("@")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode("ascii")
    return unicodedata.normalize("NFC", name) + at + domain


def _fold() -> None:
    for rows in _rows(_OTHERWISE_SPELT):
        found = {id_: _normal("email", endpoint) for id_, endpoint in rows}
        folded = {id_: found[id_] for id_, endpoint in rows if found[id_] != endpoint}
        values = {"ids": list(folded), "folded": list(folded.values())}
        op.get_bind().exec_driver_sql(_FOLD, values)


def _suppress() -> None:
    """Make of every withdrawal one of its endpoint, also for the other rows that have it."""
    secret = _secret()
    # All of them before any row is marked, for the marks are withdrawals too.
    found: dict[bytes, tuple[str, str, str]] = {}
    for rows in _rows(_LEFT):
        for _, channel, endpoint, by_carrier in rows:
            normal = _normal(channel, endpoint)
            key = hmac.digest(secret, f"{channel}\0{normal}".encode(), hashlib.sha256)
            if not by_carrier or key not in found:
                found[key] = (channel, normal, "carrier" if by_carrier else "link")
    keys = list(found)
    for start in range(0, len(keys), _BATCH):
        some = keys[start : start + _BATCH]
        channels, endpoints, sources = map(list, zip(*(found[k] for k in some), strict=True))
        values = {"keys": some, "channels": channels, "sources": sources}
        op.get_bind().exec_driver_sql(_SUPPRESS, values)
        op.get_bind().exec_driver_sql(_MARK, {"channels": channels, "endpoints": endpoints})


def _secret() -> bytes:
    op.get_bind().exec_driver_sql(
        "insert into secret (name, value) values ('suppression', %(value)s)"
        " on conflict (name) do nothing",
        {"value": secrets.token_bytes(32)},
    )
    found = op.get_bind().exec_driver_sql("select value from secret where name = 'suppression'")
    return bytes(found.scalar_one())


def downgrade() -> None:
    op.drop_index("ix_address_folded", table_name="address")
    op.drop_column("address", "consent_before")
    op.drop_column("address", "folded")
    op.drop_table("inbound")
    op.drop_table("suppression")
