"""The throttle: events, deferrals and digests, policies, silences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATES = "'accepted','delivering','completed','recorded','cancelled','superseded','expired'"


def upgrade() -> None:
    op.create_table(
        "digest_item",
        sa.Column(
            "delivery_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="deferred"
        ),
        sa.Column("citizen_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.UUID(), nullable=False),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "digest_id", sa.BigInteger(), nullable=True, comment="the delivery that carries it"
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_digest_item")),
    )
    op.create_index(
        "ix_digest_item_carried",
        "digest_item",
        ["digest_id"],
        unique=False,
        postgresql_where=sa.text("digest_id is not null"),
    )
    op.create_index(
        "ix_digest_item_due",
        "digest_item",
        ["slot_at"],
        unique=False,
        postgresql_where=sa.text("digest_id is null"),
    )
    op.create_table(
        "policy",
        sa.Column("version", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("toml", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("state in ('live','shadow','past')", name=op.f("ck_policy_state")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policy")),
    )
    op.create_index(
        "ix_policy_in_force",
        "policy",
        ["state"],
        unique=True,
        postgresql_where=sa.text("state <> 'past'"),
    )
    op.create_table(
        "silence",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("matchers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("area", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
    )
    op.create_index(op.f("ix_silence_ends_at"), "silence", ["ends_at"], unique=False)
    op.create_table(
        "event_question",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("event_id", sa.UUID(), nullable=False, comment="the one it may belong to"),
        sa.Column("score", sa.REAL(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("answer", sa.Text(), server_default="", nullable=False, comment="merged, apart"),
        sa.Column("answered_by", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_event_question_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_question")),
    )
    op.create_index(
        op.f("ix_event_question_alert_id"), "event_question", ["alert_id"], unique=False
    )
    op.create_index(
        "ix_event_question_open",
        "event_question",
        ["id"],
        unique=False,
        postgresql_where=sa.text("answer = ''"),
    )
    op.create_table(
        "policy_shadow",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("live_verdict", sa.Text(), nullable=False),
        sa.Column("live_reason", sa.Text(), nullable=False),
        sa.Column("shadow_verdict", sa.Text(), nullable=False),
        sa.Column("shadow_reason", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_policy_shadow_alert_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["policy.version"],
            name=op.f("fk_policy_shadow_version"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "version",
            "alert_id",
            "live_verdict",
            "live_reason",
            "shadow_verdict",
            "shadow_reason",
            name=op.f("pk_policy_shadow"),
        ),
    )
    op.add_column(
        "alert", sa.Column("event_id", sa.UUID(), nullable=True, comment="threads of one")
    )
    # Until now every thread was an event of its own.
    op.execute("update alert set event_id = thread_id")
    op.alter_column("alert", "event_id", nullable=False)
    op.drop_constraint(op.f("ck_alert_state"), "alert")
    op.create_check_constraint(op.f("ck_alert_state"), "alert", f"state in ('held',{_STATES})")
    op.add_column(
        "alert",
        sa.Column(
            "event_reason", sa.Text(), server_default="", nullable=False, comment="why that event"
        ),
    )
    op.add_column(
        "alert",
        sa.Column(
            "blocks",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="to find its like",
        ),
    )
    op.add_column(
        "alert", sa.Column("hazards", sa.ARRAY(sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column(
        "alert",
        sa.Column(
            "approved_by", sa.Text(), server_default="", nullable=False, comment="the second person"
        ),
    )
    op.create_index("ix_alert_blocks", "alert", ["blocks"], unique=False, postgresql_using="gin")
    op.create_index(op.f("ix_alert_event_id"), "alert", ["event_id"], unique=False)
    op.create_index(
        op.f("ix_alert_sender_alert_submitted_at"),
        "alert",
        ["sender", "submitted_at"],
        unique=False,
    )
    op.add_column(
        "delivery",
        sa.Column(
            "places",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="theirs, as bits",
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "silent",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="no interruption",
        ),
    )
    op.add_column(
        "delivery", sa.Column("deferrals", sa.SmallInteger(), server_default="0", nullable=False)
    )
    op.add_column("delivery", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "outbox",
        sa.Column(
            "digest",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="carries digests",
        ),
    )


def downgrade() -> None:
    op.execute("update alert set state = 'recorded' where state = 'held'")
    op.drop_constraint(op.f("ck_alert_state"), "alert")
    op.create_check_constraint(op.f("ck_alert_state"), "alert", f"state in ({_STATES})")
    op.drop_column("outbox", "digest")
    op.drop_column("delivery", "due_at")
    op.drop_column("delivery", "deferrals")
    op.drop_column("delivery", "silent")
    op.drop_column("delivery", "places")
    op.drop_index(op.f("ix_alert_sender_alert_submitted_at"), table_name="alert")
    op.drop_index(op.f("ix_alert_event_id"), table_name="alert")
    op.drop_index("ix_alert_blocks", table_name="alert", postgresql_using="gin")
    op.drop_column("alert", "approved_by")
    op.drop_column("alert", "hazards")
    op.drop_column("alert", "blocks")
    op.drop_column("alert", "event_reason")
    op.drop_column("alert", "event_id")
    op.drop_table("policy_shadow")
    op.drop_index(
        "ix_event_question_open",
        table_name="event_question",
        postgresql_where=sa.text("answer = ''"),
    )
    op.drop_index(op.f("ix_event_question_alert_id"), table_name="event_question")
    op.drop_table("event_question")
    op.drop_index(op.f("ix_silence_ends_at"), table_name="silence")
    op.drop_table("silence")
    op.drop_index(
        "ix_policy_in_force", table_name="policy", postgresql_where=sa.text("state <> 'past'")
    )
    op.drop_table("policy")
    op.drop_index(
        "ix_digest_item_due",
        table_name="digest_item",
        postgresql_where=sa.text("digest_id is null"),
    )
    op.drop_index(
        "ix_digest_item_carried",
        table_name="digest_item",
        postgresql_where=sa.text("digest_id is not null"),
    )
    op.drop_table("digest_item")
