"""Alarms: whether those were told who are to act on one."""

from __future__ import annotations

from functools import partial

from alembic import op

from alerting.store.migrations.gently import gently, works_with

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        add = "alter table alarm add column if not exists rung_at timestamptz"
        gently(partial(op.execute, add))
        op.execute("comment on column alarm.rung_at is 'when those who are to act were told'")
    works_with("0002")


def downgrade() -> None:
    op.drop_column("alarm", "rung_at")
