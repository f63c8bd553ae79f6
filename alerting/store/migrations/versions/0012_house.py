"""House-keeping: nothing looks through what is finished, and an alert's deliveries are counted.

Programs of the version before go on: triggers count what they write and say of which alert it is
that waits for a digest.
"""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa
from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_alert_live", "alert", "expires_at", "state in ('held','accepted','delivering')"),
    ("ix_alert_unfinished", "alert", "id", "finished_at is null and state <> 'recorded'"),
    ("ix_alert_expires_at", "alert", "expires_at", "true"),
    ("ix_alert_sent_at", "alert", "sent_at", "true"),
    ("ix_alert_status_alert_submitted_at", "alert", "status, submitted_at", "true"),
    (
        "ix_outbox_of_alert",
        "outbox",
        "alert_id, id",
        "state in ('ready','leased') or state = 'done' and done_at is null",
    ),
    ("ix_outbox_done_at", "outbox", "done_at", "kind = 'deliver'"),
    ("ix_outbox_ended", "outbox", "done_at", "digest and not settled and done_at is not null"),
    ("ix_digest_item_due", "digest_item", "slot_at, delivery_id", "digest_id is null"),
    ("ix_digest_item_of_citizen", "digest_item", "citizen_id", "digest_id is null"),
    ("ix_digest_item_alert_id_digest_item_slot_at", "digest_item", "alert_id, slot_at", "true"),
)

_ITEM = """
    create or replace function digest_item_fill() returns trigger language plpgsql as $$
    begin
      select alert_id into new.alert_id from delivery where id = new.delivery_id;
      return new;
    end
    $$"""

_ITEM_FILLED = """
    create or replace trigger digest_item_filled before insert on digest_item for each row
    when (new.alert_id is null) execute function digest_item_fill()"""

_ITEMS_BEFORE = """
    with part as (
      select i.delivery_id, d.alert_id
      from digest_item i join delivery d on d.id = i.delivery_id
      where i.delivery_id > %(after)s order by i.delivery_id limit 10000),
    filled as (
      update digest_item i set alert_id = s.alert_id from part s
      where i.delivery_id = s.delivery_id and i.alert_id is null)
    select max(delivery_id) from part"""

# Of a thousandth of a second, each bucket two per cent wider than the one before; -1 for what was
# not accepted. `store.tallies` reads it.
_BUCKET = """
    create or replace function tally_bucket(since interval) returns smallint
    language sql immutable parallel safe as $$
      select case when since is null then -1
        else ceil(ln(greatest(extract(epoch from since)::float8, 0.001) / 0.001) / ln(1.02)) end
        ::smallint
    $$"""

_COUNT = """
    create or replace function tally_{name}() returns trigger language plpgsql as $$
    begin
      insert into delivery_tally_delta (alert_id, channel, state, reason, bucket, count)
      select n.alert_id, n.channel, n.state, n.reason, tally_bucket(n.accepted_at - a.submitted_at),
             n.n
      from ({rows}) n
      join alert a on a.id = n.alert_id and a.tallied;
      return null;
    end
    $$"""

_COLUMNS = "alert_id, channel, state, reason, accepted_at"
_NEW = f"select {_COLUMNS}, count(*) as n from new_rows group by {_COLUMNS}"  # noqa: S608
_OLD = f"select {_COLUMNS}, -count(*) as n from old_rows group by {_COLUMNS}"  # noqa: S608
_BOTH = f"""
        select {_COLUMNS}, sum(n) as n from (
          select {_COLUMNS}, 1 as n from new_rows
          union all select {_COLUMNS}, -1 from old_rows) k
        group by {_COLUMNS} having sum(n) <> 0"""  # noqa: S608 - nothing from outside

_TRIGGERS = (
    ("insert", _NEW, "new table as new_rows"),
    ("update", _BOTH, "old table as old_rows new table as new_rows"),
    ("delete", _OLD, "old table as old_rows"),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        _tables()
        gently(_columns)
        _count()
        # From now on, for every row of theirs was written under the triggers.
        gently(lambda: op.execute("alter table alert alter column tallied set default true"))
        op.execute(_ITEM)
        gently(lambda: op.execute(_ITEM_FILLED))
        _fill_items()
        for name, table, columns, where in _INDEXES:
            index_concurrently(name, table, columns, where)
    works_with("0002")


def _tables() -> None:
    key = ("alert_id", "channel", "state", "reason", "bucket")
    op.create_table(
        "delivery_tally",
        *_tally_columns(),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_delivery_tally")),
        if_not_exists=True,
    )
    op.create_table(
        "delivery_tally_delta",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *_tally_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_tally_delta")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_delivery_tally_delta_alert_id"),
        "delivery_tally_delta",
        ["alert_id"],
        if_not_exists=True,
    )


def _tally_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "bucket", sa.SmallInteger(), nullable=False, comment="of seconds to acceptance; -1 none"
        ),
        sa.Column("count", sa.BigInteger(), nullable=False),
    ]


def _columns() -> None:
    op.execute("alter table alert add column if not exists tallied boolean default false not null")
    op.execute("comment on column alert.tallied is 'its deliveries are counted as they change'")
    op.execute("alter table outbox add column if not exists settled boolean default false not null")
    op.execute("comment on column outbox.settled is 'what its digests carried is settled'")
    op.execute("alter table digest_item add column if not exists alert_id uuid")


def _count() -> None:
    op.execute(_BUCKET)
    for name, rows, tables in _TRIGGERS:
        op.execute(_COUNT.format(name=name, rows=rows))
        trigger = f"""
            create or replace trigger delivery_{name}_tallied after {name} on delivery
            referencing {tables} for each statement execute function tally_{name}()"""
        gently(partial(op.execute, trigger))


def _fill_items() -> None:
    """Say of which alert the items are that wait already, some at a time."""
    after = 0
    while True:
        found = op.get_bind().exec_driver_sql(_ITEMS_BEFORE, {"after": after}).scalar()
        if found is None:
            return
        after = found


def downgrade() -> None:
    for name, table, _, _ in _INDEXES:
        op.drop_index(name, table_name=table)
    op.create_index(
        "ix_digest_item_due",
        "digest_item",
        ["slot_at"],
        postgresql_where=sa.text("digest_id is null"),
    )
    op.execute("drop trigger digest_item_filled on digest_item")
    op.execute("drop function digest_item_fill()")
    for name, _, _ in _TRIGGERS:
        op.execute(f"drop trigger delivery_{name}_tallied on delivery")
        op.execute(f"drop function tally_{name}()")
    op.execute("drop function tally_bucket(interval)")
    op.drop_table("delivery_tally_delta")
    op.drop_table("delivery_tally")
    op.drop_column("digest_item", "alert_id")
    op.drop_column("outbox", "settled")
    op.drop_column("alert", "tallied")
