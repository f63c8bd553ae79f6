"""Signatures: what is compared of an alert is kept beside it.

Alerts of before, and those that a program of the version before accepts, have none: whoever needs
it works it out and keeps it.
"""

from __future__ import annotations

from functools import partial

from alembic import op

from alerting.store.migrations.gently import gently, works_with

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLE = """
    create table if not exists alert_signature (
      alert_id uuid constraint pk_alert_signature primary key
        constraint fk_alert_signature_alert_id_alert references alert(id) on delete cascade,
      version smallint not null,
      body bytea not null)"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        gently(partial(op.execute, _TABLE))
        op.execute("comment on column alert_signature.version is 'of the program that made it'")
    works_with("0002")


def downgrade() -> None:
    op.drop_table("alert_signature")
