"""Rosters: who takes part in drills, by their own consent.

The groups of the register are not turned into rosters: nobody knows who consented to drills.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alerting.store.migrations.gently import gently, works_with

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A reference to citizens or addresses needs their table to itself for a moment.
    with op.get_context().autocommit_block():
        op.create_table(
            "roster",
            sa.Column("id", sa.UUID(), nullable=False),
            sa.Column("name", sa.Text(), nullable=False, comment="as alerts address it"),
            _now("created_at"),
            sa.Column("created_by", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_roster")),
            sa.UniqueConstraint("name", name=op.f("uq_roster_name")),
            if_not_exists=True,
        )
        gently(_members)
        gently(_passes)
        for table, column in (("roster_member", "citizen_id"), ("roster_pass", "address_id")):
            op.create_index(
                op.f(f"ix_{table}_{column}"), table, [column], unique=False, if_not_exists=True
            )
        op.execute("comment on column citizen.groups is 'closed groups'")
        op.execute("comment on column secret.name is 'vapid, link, drill'")
    works_with("0002")


def _members() -> None:
    op.create_table(
        "roster_member",
        sa.Column("roster_id", sa.UUID(), nullable=False),
        sa.Column("citizen_id", sa.BigInteger(), nullable=False),
        _now("consent_at"),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.Text(), nullable=False, comment="where they consented"),
        _to("roster_member", "roster_id", "roster"),
        _to("roster_member", "citizen_id", "citizen"),
        sa.PrimaryKeyConstraint("roster_id", "citizen_id", name=op.f("pk_roster_member")),
        if_not_exists=True,
    )


def _passes() -> None:
    op.create_table(
        "roster_pass",
        sa.Column("roster_id", sa.UUID(), nullable=False),
        sa.Column("address_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "pass", sa.LargeBinary(), nullable=False, comment="fits one channel and endpoint"
        ),
        _to("roster_pass", "roster_id", "roster"),
        _to("roster_pass", "address_id", "address"),
        sa.PrimaryKeyConstraint("roster_id", "address_id", name=op.f("pk_roster_pass")),
        if_not_exists=True,
    )


def _now(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _to(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE"
    )


def downgrade() -> None:
    op.execute("comment on column secret.name is 'vapid, link'")
    op.execute("comment on column citizen.groups is 'drill groups'")
    for table in ("roster_pass", "roster_member", "roster"):
        op.drop_table(table)
