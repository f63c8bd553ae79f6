"""The wall between real alerts and exercises, and the order of a thread's versions."""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa
from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: Programs of the version before insert alerts without these; the trigger fills them in.
_FILL = """
    create or replace function alert_fill() returns trigger language plpgsql as $$
    begin
      new.order_at := coalesce(new.order_at, new.sent_at);
      insert into thread (id, status, scope) values (new.thread_id, new.status, new.scope)
        on conflict (id) do nothing;
      insert into event (id, status, scope) values (new.event_id, new.status, new.scope)
        on conflict (id) do nothing;
      return new;
    end
    $$"""

_FILLED = """
    create or replace trigger alert_filled before insert or update of thread_id, event_id on alert
    for each row execute function alert_fill()"""

_FIXED = """
    create or replace function alert_fixed() returns trigger language plpgsql as $$
    begin
      raise exception 'An alert''s sender, identifier, sent, status, scope and msgType never change.'
        using errcode = 'restrict_violation';
    end
    $$"""

_FIX = """
    create or replace trigger alert_fixed
    before update of sender, identifier, sent_at, status, scope, msg_type on alert for each row
    when ((old.sender, old.identifier, old.sent_at, old.status, old.scope, old.msg_type)
          is distinct from
          (new.sender, new.identifier, new.sent_at, new.status, new.scope, new.msg_type))
    execute function alert_fixed()"""

#: A thread that mixed classes keeps the Actual and Public alerts, or else the oldest.
_CLASSES = """
    insert into {table} (id, status, scope)
    select distinct on ({column}) {column}, status, scope from alert
    order by {column}, (status = 'Actual' and scope = 'Public') desc, sent_at
    on conflict (id) do nothing"""

_SPLIT = """
    with mixed as (
      select k.old, k.status, k.scope, gen_random_uuid() as id from (
        select distinct a.{column} as old, a.status, a.scope
        from alert a join {table} t on t.id = a.{column}
        where (a.status, a.scope) <> (t.status, t.scope)) as k)
    update alert a set {column} = m.id from mixed m
    where a.{column} = m.old and a.status = m.status and a.scope = m.scope"""

_ENDS = """
    update alert set ends = true
    where not ends and (msg_type = 'Cancel' or msg_type in ('Alert', 'Update')
      and document->'infos' <> '[]'::jsonb and not exists (
        select from jsonb_array_elements(document->'infos') as i
        where i->>'urgency' is distinct from 'Past'
          and not coalesce(i->'responseTypes' ? 'AllClear', false)))"""


def upgrade() -> None:
    # Old programs go on: the trigger completes what they insert, and the foreign keys refuse only
    # what mixes real alerts with others.
    with op.get_context().autocommit_block():
        _tables()
        gently(_columns)
        op.execute(_FILL)
        op.execute(_FIXED)
        gently(lambda: op.execute(_FILLED))
        gently(lambda: op.execute(_FIX))
        for table in ("thread", "event"):
            gently(partial(_foreign_key, table))
            op.execute(_CLASSES.format(table=table, column=f"{table}_id"))
            op.execute(_SPLIT.format(table=table, column=f"{table}_id"))
            op.execute(f"alter table alert validate constraint fk_alert_{table}")
        op.execute("update alert set order_at = sent_at where order_at is null")
        op.execute(_ENDS)
        gently(_order_is_known)
        index_concurrently("ix_alert_name", "alert", "lower(identifier), lower(sender)")
        index_concurrently("ix_alert_reference_alert_id", "alert_reference", "alert_id")
        index_concurrently(
            "ix_alert_reference_name", "alert_reference", "lower(identifier), lower(sender)"
        )
    works_with("0002")


def _tables() -> None:
    for name in ("thread", "event"):
        op.create_table(
            name,
            sa.Column("id", sa.UUID(), nullable=False),
            sa.Column("status", sa.Text(), nullable=False),
            sa.Column("scope", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
            sa.UniqueConstraint("id", "status", "scope", name=op.f(f"uq_{name}_id_status_scope")),
            if_not_exists=True,
        )


def _columns() -> None:
    op.execute(
        """alter table alert add column if not exists order_at timestamptz,
           add column if not exists ends boolean default false not null,
           add column if not exists ended_by uuid,
           add column if not exists end_any boolean default false not null"""
    )
    op.execute("comment on column alert.order_at is 'by which versions of a thread are ordered'")
    op.execute("comment on column alert.ends is 'all of it says that a danger is over'")
    op.execute("comment on column alert.ended_by is 'the alert that ended or replaced it'")
    op.execute("comment on column alert.end_any is 'it may end alerts of other senders'")


def _foreign_key(table: str) -> None:
    op.execute(f"alter table alert drop constraint if exists fk_alert_{table}")
    op.execute(
        f"""alter table alert add constraint fk_alert_{table}
            foreign key ({table}_id, status, scope) references {table} (id, status, scope)
            not valid"""
    )


def _order_is_known() -> None:
    op.execute("alter table alert alter column order_at set not null")


def downgrade() -> None:
    op.execute("drop index ix_alert_reference_name")
    op.execute("drop index ix_alert_reference_alert_id")
    op.execute("drop index ix_alert_name")
    op.execute("drop trigger alert_fixed on alert")
    op.execute("drop trigger alert_filled on alert")
    op.execute("drop function alert_fixed()")
    op.execute("drop function alert_fill()")
    for table in ("thread", "event"):
        op.execute(f"alter table alert drop constraint fk_alert_{table}")
        op.drop_table(table)
    for column in ("order_at", "ends", "ended_by", "end_any"):
        op.drop_column("alert", column)
