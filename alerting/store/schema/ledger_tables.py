"""The ledger: deliveries, what was reported of them, and their totals."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from alerting.store.schema.table_parts import instant, metadata
from alerting.store.states import D

delivery = Table(
    "delivery",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", UUID(as_uuid=True), nullable=False),
    Column("citizen_id", BigInteger, nullable=False),
    Column("address_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("info_no", SmallInteger, nullable=False, comment="which info of the alert"),
    Column("area_no", SmallInteger, nullable=False, comment="which area of that info; -1 none"),
    Column("places", SmallInteger, nullable=False, server_default="0", comment="theirs, as bits"),
    Column("state", Text, nullable=False, server_default=D.PLANNED.value),
    Column("reason", Text, nullable=False, server_default=""),
    Column("code", Text, nullable=False, server_default="", comment="the provider's own"),
    Column("provider", Text, nullable=False, server_default="", comment="who was last called"),
    Column("provider_ref", Text, nullable=False, server_default=""),
    Column("follows", BigInteger, comment="the delivery that did not arrive"),
    Column("tries", SmallInteger, nullable=False, server_default="0"),
    Column("possible_duplicate", Boolean, nullable=False, server_default="false"),
    Column("silent", Boolean, nullable=False, server_default="false", comment="no interruption"),
    Column("deferrals", SmallInteger, nullable=False, server_default="0"),
    instant("due_at"),
    instant("planned_at", now=True),
    instant("attempted_at"),
    instant("accepted_at"),
    instant("settled_at"),
    Index(None, "citizen_id", "alert_id"),
    # Followed once only, by whichever process is first.
    Index(
        "ix_delivery_follows", "follows", unique=True, postgresql_where=text("follows is not null")
    ),
    postgresql_with={"fillfactor": "85"},
)


digest_item = Table(
    "digest_item",
    metadata,
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=False, comment="deferred"),
    Column("citizen_id", BigInteger, nullable=False),
    Column("event_id", UUID(as_uuid=True), nullable=False),
    Column("alert_id", UUID(as_uuid=True)),
    instant("slot_at", null=False),
    Column("digest_id", BigInteger, comment="the delivery that carries it"),
    Index(
        "ix_digest_item_due", "slot_at", "delivery_id", postgresql_where=text("digest_id is null")
    ),
    Index("ix_digest_item_of_citizen", "citizen_id", postgresql_where=text("digest_id is null")),
    Index(None, "alert_id", "slot_at"),
    Index("ix_digest_item_carried", "digest_id", postgresql_where=text("digest_id is not null")),
)


receipt = Table(
    "receipt",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("delivery_id", BigInteger, nullable=False),
    Column("provider_ref", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False, comment="in the provider's words"),
    Column("code", Text, nullable=False, server_default=""),
    instant("received_at", now=True),
    instant("applied_at"),
    UniqueConstraint("channel", "delivery_id", "provider_ref", "status"),
    Index("ix_receipt_open", "id", postgresql_where=text("applied_at is null")),
)


def _tally() -> list[Column[Any]]:
    return [
        Column("alert_id", UUID(as_uuid=True), nullable=False),
        Column("channel", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("bucket", SmallInteger, nullable=False, comment="of seconds to acceptance; -1 none"),
        Column("count", BigInteger, nullable=False),
    ]


# The number of an alert's deliveries in each state: totals, and changes not added up yet. Triggers
# on `delivery` write the changes (see revision 0012), a maintenance duty adds them up.
delivery_tally = Table(
    "delivery_tally",
    metadata,
    *_tally(),
    PrimaryKeyConstraint("alert_id", "channel", "state", "reason", "bucket"),
)


delivery_tally_delta = Table(
    "delivery_tally_delta",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    *_tally(),
    Index(None, "alert_id"),
)


# What is left of the deliveries of an alert that was pruned.
pruned_delivery = Table(
    "pruned_delivery",
    metadata,
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("alert_id", "channel", "state", "reason"),
)
