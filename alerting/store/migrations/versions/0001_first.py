"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("msg_type", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.UUID(), nullable=False),
        sa.Column(
            "document",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the alert as CAP in JSON",
        ),
        sa.Column("source", sa.LargeBinary(), nullable=False, comment="the bytes as they came in"),
        sa.Column("source_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column(
            "submitted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("audience", sa.Integer(), server_default="0", nullable=False, comment="citizens"),
        sa.CheckConstraint(
            "state in ('accepted','delivering','completed','recorded','cancelled','superseded','expired')",
            name=op.f("ck_alert_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint(
            "sender", "identifier", "sent_at", name=op.f("uq_alert_sender_identifier_sent_at")
        ),
    )
    op.create_index(op.f("ix_alert_thread_id"), "alert", ["thread_id"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("prefix", sa.Text(), nullable=False, comment="the key's first part, not secret"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("rights", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "citizen",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False, comment="the register's own key"),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_to", sa.Time(), nullable=True),
        sa.Column(
            "channels", sa.ARRAY(sa.Text()), nullable=False, comment="in the citizen's order"
        ),
        sa.Column(
            "groups",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="drill groups",
        ),
        sa.Column(
            "register_hash",
            sa.LargeBinary(),
            nullable=True,
            comment="of the register row it was made from",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_citizen")),
        sa.UniqueConstraint("ref", name=op.f("uq_citizen_ref")),
    )
    op.create_index(
        op.f("ix_citizen_groups"), "citizen", ["groups"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("citizen_id", sa.BigInteger(), nullable=False),
        sa.Column("address_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("info_no", sa.SmallInteger(), nullable=False, comment="which info of the alert"),
        sa.Column(
            "area_no", sa.SmallInteger(), nullable=False, comment="which area of that info; -1 none"
        ),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "code", sa.Text(), server_default="", nullable=False, comment="the provider's own"
        ),
        sa.Column("provider_ref", sa.Text(), server_default="", nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("possible_duplicate", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "planned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        postgresql_with={"fillfactor": "85"},
    )
    op.create_index(
        op.f("ix_delivery_citizen_id_delivery_alert_id"),
        "delivery",
        ["citizen_id", "alert_id"],
        unique=False,
    )
    op.create_table(
        "receipt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_ref", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="in the provider's words"),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint(
            "channel",
            "delivery_id",
            "provider_ref",
            "status",
            name=op.f("uq_receipt_channel_delivery_id_provider_ref_status"),
        ),
    )
    op.create_index(
        "ix_receipt_open",
        "receipt",
        ["id"],
        unique=False,
        postgresql_where=sa.text("applied_at is null"),
    )
    op.create_table(
        "secret",
        sa.Column("name", sa.Text(), nullable=False, comment="vapid, link"),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secret")),
    )
    op.create_table(
        "address",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("citizen_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column(
            "keys", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("consent", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("verified", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_reason", sa.Text(), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizen.id"], name=op.f("fk_address_citizen_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address")),
        sa.UniqueConstraint(
            "citizen_id", "channel", "endpoint", name=op.f("uq_address_citizen_id_channel_endpoint")
        ),
    )
    op.create_index(op.f("ix_address_endpoint"), "address", ["endpoint"], unique=False)
    op.create_table(
        "alert_reference",
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_alert_reference_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "sender", "identifier", "sent_at", "alert_id", name=op.f("pk_alert_reference")
        ),
    )
    op.create_table(
        "citizen_geocode",
        sa.Column("citizen_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["citizen_id"],
            ["citizen.id"],
            name=op.f("fk_citizen_geocode_citizen_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("name", "value", "citizen_id", name=op.f("pk_citizen_geocode")),
    )
    op.create_index(
        op.f("ix_citizen_geocode_citizen_id"), "citizen_geocode", ["citizen_id"], unique=False
    )
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_idempotency_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="a chunk's id"
        ),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="plan, or deliver (then it is a chunk)"
        ),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="ready", nullable=False),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "cursor", sa.BigInteger(), server_default="0", nullable=False, comment="where to go on"
        ),
        sa.Column("window_from", sa.Integer(), server_default="0", nullable=False),
        sa.Column("window_to", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind in ('plan','deliver')", name=op.f("ck_outbox_kind")),
        sa.CheckConstraint(
            "state in ('ready','leased','done','poisoned')", name=op.f("ck_outbox_state")
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_outbox_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_alert_id"), "outbox", ["alert_id"], unique=False)
    op.create_index(
        "ix_outbox_open",
        "outbox",
        ["lane", "id"],
        unique=False,
        postgresql_where=sa.text("state in ('ready','leased')"),
    )
    op.create_table(
        "place",
        sa.Column("citizen_id", sa.BigInteger(), nullable=False),
        sa.Column("no", sa.SmallInteger(), nullable=False, comment="0 is home"),
        sa.Column("name", sa.Text(), server_default="home", nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.Column("radius_m", sa.REAL(), server_default="0", nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False, comment="H3 cell of the point"),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizen.id"], name=op.f("fk_place_citizen_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("citizen_id", "no", name=op.f("pk_place")),
    )
    op.create_index(op.f("ix_place_cell"), "place", ["cell"], unique=False)
    op.create_index(
        "ix_place_wide",
        "place",
        ["radius_m"],
        unique=False,
        postgresql_where=sa.text("radius_m > 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_place_wide", table_name="place", postgresql_where=sa.text("radius_m > 0"))
    op.drop_index(op.f("ix_place_cell"), table_name="place")
    op.drop_table("place")
    op.drop_index(
        "ix_outbox_open",
        table_name="outbox",
        postgresql_where=sa.text("state in ('ready','leased')"),
    )
    op.drop_index(op.f("ix_outbox_alert_id"), table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("idempotency")
    op.drop_index(op.f("ix_citizen_geocode_citizen_id"), table_name="citizen_geocode")
    op.drop_table("citizen_geocode")
    op.drop_table("alert_reference")
    op.drop_index(op.f("ix_address_endpoint"), table_name="address")
    op.drop_table("address")
    op.drop_table("secret")
    op.drop_index(
        "ix_receipt_open", table_name="receipt", postgresql_where=sa.text("applied_at is null")
    )
    op.drop_table("receipt")
    op.drop_index(op.f("ix_delivery_citizen_id_delivery_alert_id"), table_name="delivery")
    op.drop_table("delivery")
    op.drop_index(op.f("ix_citizen_groups"), table_name="citizen", postgresql_using="gin")
    op.drop_table("citizen")
    op.drop_table("audit")
    op.drop_table("api_key")
    op.drop_index(op.f("ix_alert_thread_id"), table_name="alert")
    op.drop_table("alert")
