"""What operators set and must look at: policies, silences, providers, alarms, people, keys."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from alerting.store.schema.table_parts import holders, instant, metadata

policy = Table(
    "policy",
    metadata,
    Column("version", Integer, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("toml", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_person", UUID(as_uuid=True), comment="null for a machine"),
    holders("changed_holders"),
    Column("trial", Boolean, nullable=False, server_default="false", comment="set as a shadow"),
    Column("note", Text, nullable=False, server_default=""),
    instant("at", now=True),
    CheckConstraint("state in ('live','shadow','past')", name="state"),
    Index("ix_policy_in_force", "state", unique=True, postgresql_where=text("state <> 'past'")),
)


policy_shadow = Table(
    "policy_shadow",
    metadata,
    Column("version", ForeignKey("policy.version", ondelete="CASCADE"), nullable=False),
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("live_verdict", Text, nullable=False),
    Column("live_reason", Text, nullable=False),
    Column("shadow_verdict", Text, nullable=False),
    Column("shadow_reason", Text, nullable=False),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint(
        "version", "alert_id", "live_verdict", "live_reason", "shadow_verdict", "shadow_reason"
    ),
)


silence = Table(
    "silence",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("matchers", JSONB, nullable=False),
    Column("area", JSONB),
    instant("starts_at", null=False),
    instant("ends_at", null=False),
    Column("comment", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    instant("created_at", now=True),
    Column("ended_by", Text, nullable=False, server_default=""),
    instant("ended_at"),
    Index(None, "ends_at"),
)


provider = Table(
    "provider",
    metadata,
    Column("name", Text, primary_key=True, comment="as in the settings"),
    Column("channel", Text, nullable=False),
    Column("penalty", SmallInteger, nullable=False, server_default="0", comment="0 is preferred"),
    Column("reason", Text, nullable=False, server_default=""),
    instant("changed_at", now=True),
)


alarm = Table(
    "alarm",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="a provider, a chunk"),
    Column("sentence", Text, nullable=False, comment="what is wrong and what to do"),
    Column("count", Integer, nullable=False, server_default="1"),
    instant("opened_at", now=True),
    instant("seen_at", now=True),
    instant("closed_at"),
    Column("closed_by", Text, nullable=False, server_default=""),
    Column("rung_at", DateTime(timezone=True), comment="when those who are to act were told"),
    Index(
        "ix_alarm_open",
        "kind",
        "subject",
        unique=True,
        postgresql_where=text("closed_at is null"),
    ),
)


person = Table(
    "person",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("uid", BigInteger, unique=True, comment="their account on this machine"),
    Column("rights", ARRAY(Text), nullable=False),
    Column("senders", ARRAY(Text), nullable=False, comment="patterns"),
    Column("statuses", ARRAY(Text), nullable=False),
    Column("area", JSONB, comment="GeoJSON; null is anywhere"),
    instant("created_at", now=True),
    instant("ended_at"),
)


api_key = Table(
    "api_key",
    metadata,
    Column("prefix", Text, primary_key=True, comment="the key's first part, not secret"),
    Column("name", Text, nullable=False, unique=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("person_id", ForeignKey("person.id"), comment="null for a machine"),
    holders("holders"),
    Column("unassigned", Boolean, nullable=False, server_default="true", comment="whose, unknown"),
    Column("rights", ARRAY(Text), nullable=False),
    # The defaults are for keys from before these columns: they may do what they could.
    Column("senders", ARRAY(Text), nullable=False, server_default="{*}", comment="patterns"),
    Column(
        "statuses",
        ARRAY(Text),
        nullable=False,
        server_default="{Actual,Exercise,System,Test,Draft}",
    ),
    Column("area", JSONB, comment="GeoJSON; null is anywhere"),
    instant("created_at", now=True),
    instant("expires_at"),
    instant("revoked_at"),
)


audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    instant("at", now=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    Column("seq", BigInteger, comment="its place in the chain; null until it is sealed"),
    Column("hash", LargeBinary, comment="of the line and of the hash before"),
    Index("uq_audit_seq", "seq", unique=True),
    Index("ix_audit_unsealed", "id", postgresql_where=text("seq is null")),
    Index("ix_audit_subject", "subject", "id"),
    Index("ix_audit_actor", "actor", "id"),
    Index("ix_audit_at", "at"),
)


secret = Table(
    "secret",
    metadata,
    Column("name", Text, primary_key=True, comment="vapid, link, drill"),
    Column("value", LargeBinary, nullable=False),
    instant("created_at", now=True),
)
