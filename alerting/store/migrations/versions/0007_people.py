"""People: who may act, whose each key is, and who is behind an alert and a policy."""

from __future__ import annotations

from functools import partial

from alembic import op

from alerting.store.migrations.gently import gently, index_concurrently, works_with

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_PERSON = """
    create table if not exists person (
      id uuid not null constraint pk_person primary key,
      name text not null constraint uq_person_name unique,
      uid bigint constraint uq_person_uid unique,
      rights text[] not null,
      senders text[] not null,
      statuses text[] not null,
      area jsonb,
      created_at timestamptz default now() not null,
      ended_at timestamptz
    )"""

#: The defaults are for the keys there are: whose they are is unknown, and they may do what they
#: could.
_KEY = """
    alter table api_key
      add column if not exists person_id uuid
        constraint fk_api_key_person_id references person (id),
      add column if not exists holders uuid[] default '{}' not null,
      add column if not exists unassigned boolean default true not null,
      add column if not exists senders text[] default '{*}' not null,
      add column if not exists statuses text[]
        default '{Actual,Exercise,System,Test,Draft}' not null,
      add column if not exists area jsonb,
      add column if not exists expires_at timestamptz"""

_ALERT = """
    alter table alert
      add column if not exists submitted_person uuid,
      add column if not exists submitted_holders uuid[] default '{}' not null,
      add column if not exists approved_person uuid"""

_POLICY = """
    alter table policy
      add column if not exists changed_person uuid,
      add column if not exists changed_holders uuid[] default '{}' not null,
      add column if not exists trial boolean default false not null"""

#: Which versions only ever ran in shadow the audit alone knows.
_TRIALS = """
    update policy set trial = true where state = 'shadow' or version in (
      select (detail->>'version')::int from audit where action = 'policy.shadow')"""

_COMMENTS = {
    "person.uid": "their account on this machine",
    "person.senders": "patterns",
    "person.area": "GeoJSON; null is anywhere",
    "api_key.person_id": "null for a machine",
    "api_key.unassigned": "whose, unknown",
    "api_key.senders": "patterns",
    "api_key.area": "GeoJSON; null is anywhere",
    "alert.submitted_person": "null for a machine",
    "policy.changed_person": "null for a machine",
    "policy.trial": "set as a shadow",
}


def upgrade() -> None:
    # The version before goes on meanwhile: columns have defaults or may be empty, nothing waits
    # long for a lock, and each step may be repeated.
    with op.get_context().autocommit_block():
        for step in (_PERSON, _KEY, _ALERT, _POLICY):
            gently(partial(op.execute, step))
        index_concurrently(
            "ix_alert_of_person", "alert", "submitted_person, submitted_at",
            "submitted_person is not null", unique=False,
        )  # fmt: skip
        index_concurrently(
            "ix_alert_of_machine", "alert", "submitted_by, submitted_at",
            "submitted_person is null", unique=False,
        )  # fmt: skip
        for column, words in _COMMENTS.items():
            gently(partial(op.execute, f"comment on column {column} is '{words}'"))
    op.execute(_TRIALS)
    works_with("0002")


def downgrade() -> None:
    op.drop_index("ix_alert_of_machine", table_name="alert")
    op.drop_index("ix_alert_of_person", table_name="alert")
    op.execute(
        "alter table policy drop column trial, drop column changed_holders,"
        " drop column changed_person"
    )
    op.execute(
        "alter table alert drop column approved_person, drop column submitted_holders,"
        " drop column submitted_person"
    )
    op.execute(
        "alter table api_key drop column expires_at, drop column area, drop column statuses,"
        " drop column senders, drop column unassigned, drop column holders, drop column person_id"
    )
    op.drop_table("person")
