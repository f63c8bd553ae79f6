"""The tables, in the order an alert meets them. Needs no PostgreSQL extension.

Instants are timestamptz. A delivery's id is its chunk's id times 1,024 plus its place in the
chunk, so a chunk owns a contiguous range of the ledger and needs no index to find it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from alerting.store.states import A, D, W, alert_from, among, work_from

#: Deliveries of chunk `c` have the ids c × CHUNK_SPAN … c × CHUNK_SPAN + size − 1.
CHUNK_SPAN = 1024

#: SQL: an alert that may still be sent or let go.
LIVE = f"state in {alert_from(A.EXPIRED)}"

#: SQL: an alert whose end is still to be written.
UNFINISHED = f"finished_at is null and state <> '{A.RECORDED}'"

#: SQL: a row of the outbox that a worker may still take or hold.
_UNDONE = f"state in {work_from(W.DONE)}"

#: SQL: a row of the outbox that is still to be done, calling back what was not sent included.
OPEN = f"{_UNDONE} or state = '{W.DONE}' and done_at is null"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _at(name: str, *, now: bool = False, null: bool = True) -> Column[Any]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=null and not now,
        server_default=func.now() if now else None,
    )


def _holders(name: str) -> Column[Any]:
    """Persons beside the own one who had seen the key something was done by."""
    return Column(name, ARRAY(UUID(as_uuid=True)), nullable=False, server_default="{}")


# ── who may be told ─────────────────────────────────────────────────────────────────────────

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
    _at("created_at", now=True),
    _at("updated_at", now=True),
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
    _at("withdrawn_at"),
    Column("suspended_reason", Text),
    _at("updated_at", now=True),
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
    _at("stopped_at", now=True),
    _at("lifted_at"),
    _at("changed_at", now=True),
    PrimaryKeyConstraint("channel", "key"),
    Index(None, "changed_at"),
)

inbound = Table(
    "inbound",
    metadata,
    Column("ref", Text, primary_key=True, comment="the provider's own, to do nothing twice"),
    _at("received_at", now=True),
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

# ── who takes part in drills ────────────────────────────────────────────────────────────────

roster = Table(
    "roster",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="as alerts address it"),
    _at("created_at", now=True),
    Column("created_by", Text, nullable=False),
)

roster_member = Table(
    "roster_member",
    metadata,
    Column("roster_id", ForeignKey("roster.id", ondelete="CASCADE"), nullable=False),
    Column("citizen_id", ForeignKey("citizen.id", ondelete="CASCADE"), nullable=False),
    _at("consent_at", now=True),
    _at("left_at"),
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

# ── what is to be told ──────────────────────────────────────────────────────────────────────

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
    _at("sent_at", null=False),
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
    _at("expires_at", null=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitted_person", UUID(as_uuid=True), comment="null for a machine"),
    _holders("submitted_holders"),
    Column("approved_by", Text, nullable=False, server_default="", comment="the second person"),
    Column("approved_person", UUID(as_uuid=True)),
    _at("submitted_at", now=True),
    _at("planned_at"),
    _at("finished_at"),
    Column("audience", Integer, nullable=False, server_default="0", comment="citizens"),
    _at("pruned_at"),
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
    _at("sent_at", null=False),
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
    _at("created_at", now=True),
    Column("answer", Text, nullable=False, server_default="", comment="merged, apart"),
    Column("answered_by", Text, nullable=False, server_default=""),
    _at("answered_at"),
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
    _at("created_at", now=True),
    PrimaryKeyConstraint("owner", "key"),
)

# ── the work it makes ───────────────────────────────────────────────────────────────────────

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
    _at("lease_until"),
    _at("not_before", now=True),
    Column("rank", Double, comment="place in its queue; null while it waits for not_before"),
    # Written by programs of before 0011.
    _at("rung_at"),
    _at("created_at", now=True),
    _at("done_at"),
    _at("check_at"),
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
    # Digests that went out, or did not, whose items wait to hear of it.
    Index(
        "ix_outbox_ended",
        "done_at",
        postgresql_where=text("digest and not settled and done_at is not null"),
    ),
)

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
    _at("due_at"),
    _at("planned_at", now=True),
    _at("attempted_at"),
    _at("accepted_at"),
    _at("settled_at"),
    Index(None, "citizen_id", "alert_id"),
    # Once only, whoever finds it first.
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
    _at("slot_at", null=False),
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
    _at("received_at", now=True),
    _at("applied_at"),
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


# How many deliveries of an alert stand where: the sums, and what is to be added to them. Triggers
# on `delivery` write the latter (see revision 0012), a duty of the house adds them up.
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

# ── how it is throttled ─────────────────────────────────────────────────────────────────────

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
    _holders("changed_holders"),
    Column("trial", Boolean, nullable=False, server_default="false", comment="set as a shadow"),
    Column("note", Text, nullable=False, server_default=""),
    _at("at", now=True),
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
    _at("starts_at", null=False),
    _at("ends_at", null=False),
    Column("comment", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    _at("created_at", now=True),
    Column("ended_by", Text, nullable=False, server_default=""),
    _at("ended_at"),
    Index(None, "ends_at"),
)

# ── what is wrong with the way out ───────────────────────────────────────────────────────────

provider = Table(
    "provider",
    metadata,
    Column("name", Text, primary_key=True, comment="as in the settings"),
    Column("channel", Text, nullable=False),
    Column("penalty", SmallInteger, nullable=False, server_default="0", comment="0 is preferred"),
    Column("reason", Text, nullable=False, server_default=""),
    _at("changed_at", now=True),
)

alarm = Table(
    "alarm",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="a provider, a chunk"),
    Column("sentence", Text, nullable=False, comment="what is wrong and what to do"),
    Column("count", Integer, nullable=False, server_default="1"),
    _at("opened_at", now=True),
    _at("seen_at", now=True),
    _at("closed_at"),
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

# ── who may do what, and who did ────────────────────────────────────────────────────────────

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
    _at("created_at", now=True),
    _at("ended_at"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("prefix", Text, primary_key=True, comment="the key's first part, not secret"),
    Column("name", Text, nullable=False, unique=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("person_id", ForeignKey("person.id"), comment="null for a machine"),
    _holders("holders"),
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
    _at("created_at", now=True),
    _at("expires_at"),
    _at("revoked_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _at("at", now=True),
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
    _at("created_at", now=True),
)
