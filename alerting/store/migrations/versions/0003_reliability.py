"""Reliability: which provider, what follows what, when receipts are missed, alarms, restores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


_HOME = """
    create or replace function alerting_home() returns bytea language sql stable as $$
      select convert_to(concat_ws('/',
        (select system_identifier from pg_control_system()),
        (select oid from pg_database where datname = current_database()),
        'secret'::regclass::oid), 'UTF8')
    $$"""

#: Every dump carries the name of the place it was made in, so a restored one is told by it.
_GUARD = """
    create or replace function alerting_guard() returns trigger language plpgsql as $$
    declare
      home bytea;
    begin
      if current_setting('alerting.reconciling', true) = 'on' then
        return new;
      end if;
      select value into home from secret where name = 'home';
      if home is null then
        insert into secret (name, value) values ('home', alerting_home()) on conflict do nothing;
      elsif home <> alerting_home() then
        raise exception 'This database was restored from a backup: nothing is sent until '
          '`alerting reconcile` has run.';
      end if;
      return new;
    end
    $$"""

_CLAIMED = """
    create or replace trigger outbox_claimed before update on outbox for each row
    when (new.state = 'leased' and new.fence > old.fence) execute function alerting_guard()"""

_CHUNKED = """
    create or replace trigger outbox_chunked before insert on outbox for each row
    when (new.kind = 'deliver') execute function alerting_guard()"""


def upgrade() -> None:
    # Old workers go on writing while this runs: columns have defaults or may be empty, nothing
    # waits long for a lock, and each step may be repeated.
    with op.get_context().autocommit_block():
        gently(_delivery_columns)
        gently(_outbox_columns)
        index_concurrently(
            "ix_delivery_follows", "delivery", "follows", "follows is not null", unique=True
        )
        index_concurrently(
            "ix_outbox_check", "outbox", "check_at", "check_at is not null", unique=False
        )
        op.execute(_HOME)
        op.execute(_GUARD)
        gently(lambda: op.execute(_CLAIMED))
        gently(lambda: op.execute(_CHUNKED))
    _tables()
    works_with("0002")


def _delivery_columns() -> None:
    op.execute(
        """alter table delivery add column if not exists provider text default '' not null,
           add column if not exists follows bigint"""
    )
    op.execute("comment on column delivery.provider is 'who was last called'")
    op.execute("comment on column delivery.follows is 'the delivery that did not arrive'")


def _outbox_columns() -> None:
    op.execute("alter table outbox add column if not exists check_at timestamptz")


def _tables() -> None:
    op.create_table(
        "provider",
        sa.Column("name", sa.Text(), nullable=False, comment="as in the settings"),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column(
            "penalty",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="0 is preferred",
        ),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider")),
    )
    op.create_table(
        "alarm",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="a provider, a chunk"),
        sa.Column("sentence", sa.Text(), nullable=False, comment="what is wrong and what to do"),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    op.create_index(
        "ix_alarm_open",
        "alarm",
        ["kind", "subject"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )


def downgrade() -> None:
    op.execute("drop trigger outbox_chunked on outbox")
    op.execute("drop trigger outbox_claimed on outbox")
    op.execute("drop function alerting_guard()")
    op.execute("drop function alerting_home()")
    op.drop_table("alarm")
    op.drop_table("provider")
    op.drop_index("ix_outbox_check", table_name="outbox")
    op.drop_column("outbox", "check_at")
    op.drop_index("ix_delivery_follows", table_name="delivery")
    op.drop_column("delivery", "follows")
    op.drop_column("delivery", "provider")
