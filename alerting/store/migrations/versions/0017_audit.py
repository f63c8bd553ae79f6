"""Audit: lines are only ever added, and sealed in a chain so that a change shows."""

from __future__ import annotations

from functools import partial

from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_audit_unsealed", "audit", "id", "seq is null"),
    ("ix_audit_subject", "audit", "subject, id", "true"),
    ("ix_audit_actor", "audit", "actor, id", "true"),
    ("ix_audit_at", "audit", "at", "true"),
)

_GUARD = """
    create or replace function audit_guard() returns trigger language plpgsql as $$
    begin
      if tg_op = 'UPDATE' and old.seq is null and new.seq is not null
         and (old.id, old.at, old.actor, old.action, old.subject, old.detail)
           is not distinct from (new.id, new.at, new.actor, new.action, new.subject, new.detail)
      then
        return new;
      end if;
      raise exception 'The audit is only ever added to.';
    end
    $$"""

_GUARDED = (
    """create or replace trigger audit_guarded before update or delete on audit
       for each row execute function audit_guard()""",
    """create or replace trigger audit_not_emptied before truncate on audit
       for each statement execute function audit_guard()""",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        gently(_columns)
        index_concurrently("uq_audit_seq", "audit", "seq", unique=True)
        for name, table, columns, where in _INDEXES:
            index_concurrently(name, table, columns, where)
        op.execute(_GUARD)
        for trigger in _GUARDED:
            gently(partial(op.execute, trigger))
    works_with("0002")


def _columns() -> None:
    op.execute("alter table audit add column if not exists seq bigint")
    op.execute("alter table audit add column if not exists hash bytea")
    op.execute("comment on column audit.seq is 'its place in the chain; null until it is sealed'")
    op.execute("comment on column audit.hash is 'of the line and of the hash before'")


def downgrade() -> None:
    for trigger in ("audit_guarded", "audit_not_emptied"):
        op.execute(f"drop trigger {trigger} on audit")
    op.execute("drop function audit_guard()")
    for name, *_ in _INDEXES:
        op.drop_index(name, table_name="audit")
    op.drop_index("uq_audit_seq", table_name="audit")
    op.drop_column("audit", "hash")
    op.drop_column("audit", "seq")
