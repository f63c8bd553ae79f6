"""Who may be notified, where and by which addresses; who takes part in drills."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from alerting.store.schema.table_parts import instant, metadata

citizen = Table(
    "citizen",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("ref", Text, nullable=False, unique=True, comment="the register's own key"),
    Column("language", Text, nullable=False, server_default="en"),
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    Column("quiet_from", Time),
    Column("quiet_to", Time),
    Column("channels", ARRAY(Text), nullable=False, comment="in the citizen's order"),
    Column("groups", ARRAY(Text), nullable=False, server_default="{}", comment="closed groups"),
    Column("register_hash", LargeBinary, comment="of the register row it was made from"),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    Index(None, "groups", postgresql_using="gin"),
)


address = Table(
    "address",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("citizen_id", ForeignKey("citizen.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("keys", JSONB, nullable=False, server_default="{}"),
    Column("consent", Boolean, nullable=False, server_default="true"),
    Column("verified", Boolean, nullable=False, server_default="true"),
    instant("withdrawn_at"),
    Column("suspended_reason", Text),
    instant("updated_at", now=True),
    Column("folded", Text, comment="the endpoint's normal form where it is spelt otherwise"),
    Column("consent_before", Boolean, comment="the register's, while it is withdrawn"),
    UniqueConstraint("citizen_id", "channel", "endpoint"),
    Index(None, "endpoint"),
    Index("ix_address_folded", "folded", postgresql_where=text("folded is not null")),
)


# Kept when citizens and addresses are gone: who said stop is not written to by a row to come.
suppression = Table(
    "suppression",
    metadata,
    Column("channel", Text, nullable=False),
    Column("key", LargeBinary, nullable=False, comment="HMAC of the endpoint's normal form"),
    Column("source", Text, nullable=False, comment="link, reply, carrier"),
    instant("stopped_at", now=True),
    instant("lifted_at"),
    instant("changed_at", now=True),
    PrimaryKeyConstraint("channel", "key"),
    Index(None, "changed_at"),
)


inbound = Table(
    "inbound",
    metadata,
    Column("ref", Text, primary_key=True, comment="the provider's own, to do nothing twice"),
    instant("received_at", now=True),
    Index(None, "received_at"),
)


place = Table(
    "place",
    metadata,
    Column("citizen_id", ForeignKey("citizen.id", ondelete="CASCADE"), nullable=False),
    Column("no", SmallInteger, nullable=False, comment="0 is home"),
    Column("name", Text, nullable=False, server_default="home"),
    Column("lat", Double, nullable=False),
    Column("lon", Double, nullable=False),
    Column("radius_m", REAL, nullable=False, server_default="0"),
    Column("cell", BigInteger, nullable=False, comment="H3 cell of the point"),
    PrimaryKeyConstraint("citizen_id", "no"),
    # Answers alone: to visit the table for each of a million places costs ten times the walk.
    Index(
        "ix_place_in_cell",
        "cell",
        postgresql_include=["citizen_id", "no", "lat", "lon", "radius_m"],
    ),
    # Few have more than one place.
    Index("ix_place_other", "citizen_id", postgresql_where=text("no > 0")),
    Index("ix_place_wide", "radius_m", postgresql_where=text("radius_m > 0")),
)


citizen_geocode = Table(
    "citizen_geocode",
    metadata,
    Column("citizen_id", ForeignKey("citizen.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("name", "value", "citizen_id"),
    # Answers alone which number a geocode has among those of its citizen.
    Index("ix_citizen_geocode_of", "citizen_id", "name", "value"),
    # In the order of bytes, so that a code that holds others is a range.
    Index("ix_citizen_geocode_key", text("geocode_key(name, value)"), "citizen_id"),
)


roster = Table(
    "roster",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="as alerts address it"),
    instant("created_at", now=True),
    Column("created_by", Text, nullable=False),
)


roster_member = Table(
    "roster_member",
    metadata,
    Column("roster_id", ForeignKey("roster.id", ondelete="CASCADE"), nullable=False),
    Column("citizen_id", ForeignKey("citizen.id", ondelete="CASCADE"), nullable=False),
    instant("consent_at", now=True),
    instant("left_at"),
    Column("source", Text, nullable=False, comment="where they consented"),
    PrimaryKeyConstraint("roster_id", "citizen_id"),
    Index(None, "citizen_id"),
)


roster_pass = Table(
    "roster_pass",
    metadata,
    Column("roster_id", ForeignKey("roster.id", ondelete="CASCADE"), nullable=False),
    Column("address_id", ForeignKey("address.id", ondelete="CASCADE"), nullable=False),
    Column("pass", LargeBinary, nullable=False, comment="fits one channel and endpoint"),
    PrimaryKeyConstraint("roster_id", "address_id"),
    Index(None, "address_id"),
)
