"""Geocodes: one index counts those of a citizen, for each is known by its number among them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from alerting.store.migrations.gently import index_concurrently, works_with

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_OLD = "ix_citizen_geocode_citizen_id"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        index_concurrently("ix_citizen_geocode_of", "citizen_geocode", "citizen_id, name, value")
        op.get_bind().execute(text(f"drop index concurrently if exists {_OLD}"))
    works_with("0002")


def downgrade() -> None:
    op.create_index(_OLD, "citizen_geocode", ["citizen_id"], unique=False)
    op.drop_index("ix_citizen_geocode_of", table_name="citizen_geocode")
