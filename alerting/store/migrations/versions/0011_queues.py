"""Queues: a row of the outbox has a rank in the queue of its lane and channel.

A program of the version before writes none. Such a row joins its queue when the next worker of
this version claims; until then the older workers find it as they always did.
"""

from __future__ import annotations

from functools import partial

from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_outbox_queue", "lane, channel, rank, id", "state = 'ready' and rank is not null"),
    ("ix_outbox_waits", "not_before", "state = 'ready' and rank is null"),
    ("ix_outbox_leased", "id", "state = 'leased'"),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        add = "alter table outbox add column if not exists rank double precision"
        gently(partial(op.execute, add))
        op.execute(
            "comment on column outbox.rank is 'place in its queue; null while it waits for "
            "not_before'"
        )
        for name, columns, where in _INDEXES:
            index_concurrently(name, "outbox", columns, where)
    works_with("0002")


def downgrade() -> None:
    for name, _, _ in _INDEXES:
        op.drop_index(name, table_name="outbox")
    op.drop_column("outbox", "rank")
