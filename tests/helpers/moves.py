"""What PostgreSQL itself saw of states: every single move of deliveries, alerts and work."""

from __future__ import annotations

from alerting.store.db import Database

_FINAL = {"accepted", "delivered", "failed", "suppressed", "expired", "revoked"}

#: The single moves a delivery may make here, written down apart from the code's own table: what may
#: have gone out never looks unsent again, and what waits is planned before it is sent.
MOVES = {
    "": {"planned"},
    "planned": {"deferred", "in_doubt"} | _FINAL,
    "deferred": {"planned", "failed", "suppressed", "expired", "revoked"},
    "in_doubt": {"accepted", "delivered", "failed"},
    "accepted": {"delivered", "failed"},
}

_RECORD = """
create table if not exists made_move (kind text, was text, became text);
truncate made_move;
create or replace function note_move() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into made_move values (tg_table_name, '', new.state);
  elsif new.state <> old.state then
    insert into made_move values (tg_table_name, old.state, new.state);
  end if;
  return null;
end $$;
"""

_TRIGGER = """
create or replace trigger note_move after insert or update of state on {table}
for each row execute function note_move()"""


async def record_moves(db: Database) -> None:
    """Note every move from now on; what was noted before is forgotten."""
    async with db.begin() as connection:
        await connection.exec_driver_sql(_RECORD)
        for table in ("delivery", "alert", "outbox"):
            await connection.exec_driver_sql(_TRIGGER.format(table=table))


async def moves_made(db: Database, table: str) -> set[tuple[str, str]]:
    """The moves that rows of a table have made, each once; from "" where they were written."""
    async with db.begin() as connection:
        rows = await connection.exec_driver_sql(
            "select distinct was, became from made_move where kind = %s", (table,)
        )
        return {(row.was, row.became) for row in rows}
