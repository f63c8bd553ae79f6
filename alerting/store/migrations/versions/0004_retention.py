"""Retention: which alerts were pruned, and what their deliveries added up to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alerting.store.migrations.gently import gently, works_with

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Old workers go on: they neither read nor write any of this.
    with op.get_context().autocommit_block():
        gently(_alert_column)
        gently(_pruned_delivery)
    works_with("0002")


def _alert_column() -> None:
    op.execute("alter table alert add column if not exists pruned_at timestamptz")


def _pruned_delivery() -> None:
    op.create_table(
        "pruned_delivery",
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alert.id"],
            name=op.f("fk_pruned_delivery_alert_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "alert_id", "channel", "state", "reason", name=op.f("pk_pruned_delivery")
        ),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("pruned_delivery")
    op.drop_column("alert", "pruned_at")
