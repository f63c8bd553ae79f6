"""Alerts, the threads and events they belong to, and what was asked of them."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from alerting.store.schema.table_parts import holders, instant, metadata
from alerting.store.states import A, alert_from, among

#: SQL: an alert that may still be sent or approved.
LIVE = f"state in {alert_from(A.EXPIRED)}"

#: SQL: an alert whose end is not written yet.
UNFINISHED = f"finished_at is null and state <> '{A.RECORDED}'"

# A thread or an event is Actual, an exercise or a test, and of one scope. The foreign keys of
# `alert` refuse a mixture, whatever code inserts it; a trigger makes missing rows.
thread = Table(
    "thread",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("status", Text, nullable=False),
    Column("scope", Text, nullable=False),
    UniqueConstraint("id", "status", "scope"),
)


event = Table(
    "event",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("status", Text, nullable=False),
    Column("scope", Text, nullable=False),
    UniqueConstraint("id", "status", "scope"),
)


alert = Table(
    "alert",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("sender", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    instant("sent_at", null=False),
    Column(
        "order_at",
        DateTime(timezone=True),
        nullable=False,
        comment="by which versions of a thread are ordered",
    ),
    Column("status", Text, nullable=False),
    Column("msg_type", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("thread_id", UUID(as_uuid=True), nullable=False, index=True),
    Column("event_id", UUID(as_uuid=True), nullable=False, index=True, comment="threads of one"),
    Column("event_reason", Text, nullable=False, server_default="", comment="why that event"),
    Column("blocks", ARRAY(Text), nullable=False, server_default="{}", comment="to find its like"),
    Column("hazards", ARRAY(Text), nullable=False, server_default="{}"),
    Column(
        "ends",
        Boolean,
        nullable=False,
        server_default="false",
        comment="all of it says that a danger is over",
    ),
    Column("ended_by", UUID(as_uuid=True), comment="the alert that ended or replaced it"),
    Column(
        "end_any",
        Boolean,
        nullable=False,
        server_default="false",
        comment="it may end alerts of other senders",
    ),
    Column("document", JSONB, nullable=False, comment="the alert as CAP in JSON"),
    Column("source", LargeBinary, nullable=False, comment="the bytes as they came in"),
    Column("source_hash", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", Text, nullable=False, server_default=""),
    instant("expires_at", null=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitted_person", UUID(as_uuid=True), comment="null for a machine"),
    holders("submitted_holders"),
    Column("approved_by", Text, nullable=False, server_default="", comment="the second person"),
    Column("approved_person", UUID(as_uuid=True)),
    instant("submitted_at", now=True),
    instant("planned_at"),
    instant("finished_at"),
    Column("audience", Integer, nullable=False, server_default="0", comment="citizens"),
    instant("pruned_at"),
    Column("code", Text, comment="names it in short links"),
    Column(
        "tallied",
        Boolean,
        nullable=False,
        server_default="true",
        comment="its deliveries are counted as they change",
    ),
    Index("uq_alert_code", "code", unique=True),
    UniqueConstraint("sender", "identifier", "sent_at"),
    ForeignKeyConstraint(
        ["thread_id", "status", "scope"],
        ["thread.id", "thread.status", "thread.scope"],
        name="fk_alert_thread",
    ),
    ForeignKeyConstraint(
        ["event_id", "status", "scope"],
        ["event.id", "event.status", "event.scope"],
        name="fk_alert_event",
    ),
    Index("ix_alert_name", text("lower(identifier)"), text("lower(sender)")),
    Index("ix_alert_blocks", "blocks", postgresql_using="gin"),
    Index(None, "sender", "submitted_at"),
    # Alerts are never deleted: what looks at some of them must not pass over those of years.
    Index("ix_alert_live", "expires_at", postgresql_where=text(LIVE)),
    Index("ix_alert_unfinished", "id", postgresql_where=text(UNFINISHED)),
    Index(None, "expires_at"),
    Index(None, "sent_at"),
    Index(None, "status", "submitted_at"),
    # How many somebody has issued, by person and by machine.
    Index(
        "ix_alert_of_person",
        "submitted_person",
        "submitted_at",
        postgresql_where=text("submitted_person is not null"),
    ),
    Index(
        "ix_alert_of_machine",
        "submitted_by",
        "submitted_at",
        postgresql_where=text("submitted_person is null"),
    ),
    CheckConstraint(
        f"state in {among(A)}",
        name="state",
    ),
)


alert_reference = Table(
    "alert_reference",
    metadata,
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("sender", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    instant("sent_at", null=False),
    PrimaryKeyConstraint("sender", "identifier", "sent_at", "alert_id"),
    Index(None, "alert_id"),
    Index("ix_alert_reference_name", text("lower(identifier)"), text("lower(sender)")),
)


alert_signature = Table(
    "alert_signature",
    metadata,
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), primary_key=True),
    Column("version", SmallInteger, nullable=False, comment="of the program that made it"),
    Column("body", LargeBinary, nullable=False),
)


event_question = Table(
    "event_question",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", UUID(as_uuid=True), nullable=False, comment="the one it may belong to"),
    Column("score", REAL, nullable=False),
    Column("sentence", Text, nullable=False),
    instant("created_at", now=True),
    Column("answer", Text, nullable=False, server_default="", comment="merged, apart"),
    Column("answered_by", Text, nullable=False, server_default=""),
    instant("answered_at"),
    Index(None, "alert_id"),
    Index("ix_event_question_open", "id", postgresql_where=text("answer = ''")),
)


idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("alert_id", ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    instant("created_at", now=True),
    PrimaryKeyConstraint("owner", "key"),
)
