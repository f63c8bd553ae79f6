"""Reliability: which provider, what follows what, when receipts are missed, alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Old workers go on writing while this runs: columns have defaults or may be empty.
    op.add_column(
        "delivery",
        sa.Column(
            "provider", sa.Text(), server_default="", nullable=False, comment="who was last called"
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "follows", sa.BigInteger(), nullable=True, comment="the delivery that did not arrive"
        ),
    )
    op.create_index(
        "ix_delivery_follows",
        "delivery",
        ["follows"],
        unique=True,
        postgresql_where=sa.text("follows is not null"),
    )
    op.add_column("outbox", sa.Column("check_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_outbox_check",
        "outbox",
        ["check_at"],
        unique=False,
        postgresql_where=sa.text("check_at is not null"),
    )
    op.create_table(
        "provider",
        sa.Column("name", sa.Text(), nullable=False, comment="as in the settings"),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column(
            "penalty",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="0 is preferred",
        ),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider")),
    )
    op.create_table(
        "alarm",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="a provider, a chunk"),
        sa.Column("sentence", sa.Text(), nullable=False, comment="what is wrong and what to do"),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    op.create_index(
        "ix_alarm_open",
        "alarm",
        ["kind", "subject"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )


def downgrade() -> None:
    op.drop_table("alarm")
    op.drop_table("provider")
    op.drop_index("ix_outbox_check", table_name="outbox")
    op.drop_column("outbox", "check_at")
    op.drop_index("ix_delivery_follows", table_name="delivery")
    op.drop_column("delivery", "follows")
    op.drop_column("delivery", "provider")
