"""Codes: eight characters by which a short link names an alert.

Alerts of before have none, and neither have those that a program of the version before accepts:
their messages bear the long links, which stay valid.
"""

from __future__ import annotations

from functools import partial

from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        gently(partial(op.execute, "alter table alert add column if not exists code text"))
        op.execute("comment on column alert.code is 'names it in short links'")
        index_concurrently("uq_alert_code", "alert", "code", unique=True)
    works_with("0002")


def downgrade() -> None:
    op.drop_column("alert", "code")
