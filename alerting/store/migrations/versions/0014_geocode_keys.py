"""Geocode keys: one spelling of every geocode, by which holders of codes within a code are found.

`alerting.domain.geocode` makes the same keys.
"""

from __future__ import annotations

from alembic import op

from alerting.store.migrations.gently import index_concurrently, works_with

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_KEY = """
    create or replace function geocode_key(name text, value text) returns text
    language sql immutable parallel safe as $$
      select case
        when n in ('SAME', 'FIPS6', 'FIPS') and v ~ '^[0-9]{1,6}$'
          then 'SAME ' || right(lpad(v, greatest(length(v), 5), '0'), 5)
        else n || ' ' || v end
      from (select upper(translate(name, ' _-', '') collate "C") as n,
                   upper(left(btrim(value, ' '), 500) collate "C") as v) as k
    $$"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(_KEY)
        index_concurrently(
            "ix_citizen_geocode_key",
            "citizen_geocode",
            'geocode_key(name, value) collate "C", citizen_id',
        )
    works_with("0002")


def downgrade() -> None:
    op.drop_index("ix_citizen_geocode_key", table_name="citizen_geocode")
    op.execute("drop function geocode_key(text, text)")
