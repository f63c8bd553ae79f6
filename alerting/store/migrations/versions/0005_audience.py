"""Audience: the index over places answers alone, and one finds who has more than one place."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from alerting.store.migrations.gently import index_concurrently, works_with

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Old workers find their way by the new index as well; until it is there they keep the old one.
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        # What an interrupted build left is replaced.
        connection.execute(text("drop index concurrently if exists ix_place_in_cell"))
        connection.execute(
            text(
                "create index concurrently ix_place_in_cell on place (cell)"
                " include (citizen_id, no, lat, lon, radius_m)"
            )
        )
        index_concurrently("ix_place_other", "place", "citizen_id", "no > 0", unique=False)
        connection.execute(text("drop index concurrently if exists ix_place_cell"))
    works_with("0002")


def downgrade() -> None:
    op.create_index("ix_place_cell", "place", ["cell"], unique=False)
    op.drop_index("ix_place_other", table_name="place")
    op.drop_index("ix_place_in_cell", table_name="place")
