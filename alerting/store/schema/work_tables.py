"""The outbox: plans to make and chunks to deliver."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from alerting.store.schema.table_parts import instant, metadata
from alerting.store.states import W, among, work_from

#: Deliveries of chunk `c` have the ids c × CHUNK_SPAN … c × CHUNK_SPAN + size − 1.
CHUNK_SPAN = 1024

#: SQL: a row of the outbox that a worker may still take or hold.
_UNDONE = f"state in {work_from(W.DONE)}"

#: SQL: a row of the outbox with work left, calling back what was not sent included.
OPEN = f"{_UNDONE} or state = '{W.DONE}' and done_at is null"

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="a chunk's id"),
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False, comment="plan, or deliver (then it is a chunk)"),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=W.READY.value),
    Column("channel", Text, nullable=False, server_default=""),
    Column("digest", Boolean, nullable=False, server_default="false", comment="carries digests"),
    Column("size", Integer, nullable=False, server_default="0"),
    Column("cursor", BigInteger, nullable=False, server_default="0", comment="where to go on"),
    Column("window_from", Integer, nullable=False, server_default="0"),
    Column("window_to", Integer, nullable=False, server_default="0"),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("owner", Text, nullable=False, server_default=""),
    instant("lease_until"),
    instant("not_before", now=True),
    Column("rank", Double, comment="place in its queue; null while it waits for not_before"),
    # Written by programs of before 0011.
    instant("rung_at"),
    instant("created_at", now=True),
    instant("done_at"),
    instant("check_at"),
    Column(
        "settled",
        Boolean,
        nullable=False,
        server_default="false",
        comment="what its digests carried is settled",
    ),
    CheckConstraint("kind in ('plan','deliver')", name="kind"),
    CheckConstraint(f"state in {among(W)}", name="state"),
    Index(None, "alert_id"),
    Index("ix_outbox_open", "lane", "id", postgresql_where=text(_UNDONE)),
    Index(
        "ix_outbox_queue",
        "lane",
        "channel",
        "rank",
        "id",
        postgresql_where=text(f"state = '{W.READY}' and rank is not null"),
    ),
    Index(
        "ix_outbox_waits",
        "not_before",
        postgresql_where=text(f"state = '{W.READY}' and rank is null"),
    ),
    # Not by lease_until: every window extends a lease, and an index on it would be written too.
    Index("ix_outbox_leased", "id", postgresql_where=text(f"state = '{W.LEASED}'")),
    # When it is time to see whose receipts are missing.
    Index("ix_outbox_check", "check_at", postgresql_where=text("check_at is not null")),
    Index("ix_outbox_of_alert", "alert_id", "id", postgresql_where=text(OPEN)),
    # How providers did of late.
    Index("ix_outbox_done_at", "done_at", postgresql_where=text("kind = 'deliver'")),
    # Finished digests whose items have no outcome yet.
    Index(
        "ix_outbox_ended",
        "done_at",
        postgresql_where=text("digest and not settled and done_at is not null"),
    ),
)
