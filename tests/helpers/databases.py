"""Databases for tests, cloned from a template and used again once they are as they were.

A clone costs a third of a second and most tests write a few hundred rows. So what a test leaves is
deleted, and only a database that was changed in another way is dropped.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from alerting.store.migrate import migrate
from alerting.store.schema import metadata

#: What a killed process leaves is safe with the system; only a power cut would need more.
CONFIG = {
    "shared_buffers": "128MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Tests that need statistics say `analyze`.
    "autovacuum": "off",
}

_TEMPLATE = "template_alerting"

#: Every definition, and what `analyze` found. Any change of a row gives it another xmin.
_DEFINITIONS = """
    select md5(string_agg(row, ',' order by row)) from (
        select 'r' || oid || ' ' || xmin || ' ' || reltuples as row from pg_class
            where oid >= 16384 and relpersistence <> 't'
        union all select 'a' || attrelid || ' ' || attnum || ' ' || a.xmin from pg_attribute a
            join pg_class c on c.oid = attrelid where c.oid >= 16384 and relpersistence <> 't'
        union all select 'd' || oid || ' ' || xmin from pg_attrdef
        union all select 'c' || oid || ' ' || xmin from pg_constraint where oid >= 16384
        union all select 't' || oid || ' ' || xmin from pg_trigger
        union all select 'p' || oid || ' ' || xmin from pg_proc where oid >= 16384
        union all select 'n' || oid || ' ' || xmin from pg_namespace
            where oid >= 16384 and nspname !~ '^pg_'
        union all select 's' || starelid || ' ' || staattnum from pg_statistic
        union all select 'o' || setrole || ' ' || xmin from pg_db_role_setting
            where setdatabase = (select oid from pg_database where datname = current_database())
    ) as rows"""

_TABLES = (
    "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
)

#: Above this a table is truncated: what was deleted stays in its pages, and makes reading slow.
_LARGE_BYTES = 512 * 1024


class Databases:
    """The databases of one server, its template made at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clean: list[tuple[str, str]] = []
        self._administer("create database {}", _TEMPLATE)
        template = self.url(_TEMPLATE)
        migrate(template)
        with psycopg.connect(template) as c:
            names = [name for (name,) in c.execute(_TABLES)]
            counts = {n: _rows(c, n) for n in names}
            self._kept = {n: rows for n, rows in counts.items() if rows}
            self._definitions = _definitions(c)
        self._emptying = emptying(n for n in names if n not in self._kept)

    def url(self, name: str) -> str:
        return self._url.replace("/alerting?", f"/{name}?")

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a migrated, empty database that nobody else has, by a name of its own."""
        name = _name()
        definitions = self._definitions
        if self._clean:
            # Under its old name a process that somebody forgot would still find it.
            before, definitions = self._clean.pop()
            self._administer("alter database {} rename to {}", before, name)
        else:
            self._administer("create database {} template {} strategy file_copy", name, _TEMPLATE)
        yield self.url(name)
        after = self._reset(name, definitions)
        if after is None:
            self.drop(name)
        else:
            self._clean.append((name, after))

    @contextmanager
    def bare(self) -> Iterator[str]:
        """The URL of a database without any table."""
        name = _name()
        self._administer("create database {} strategy file_copy", name)
        yield self.url(name)
        self.drop(name)

    def drop(self, name: str) -> None:
        self._administer("drop database {} with (force)", name)

    def copy(self, name: str, new: str) -> None:
        """Clone a database that nobody is connected to."""
        self._administer("create database {} template {} strategy file_copy", new, name)

    def _reset(self, name: str, definitions: str) -> str | None:
        """Make it as it was; None where it is not, or somebody holds on to it."""
        try:
            with psycopg.connect(self.url(name)) as c:
                if _still_used(c) or _definitions(c) != definitions:
                    return None
                if any(_rows(c, n) != rows for n, rows in self._kept.items()):
                    return None
                c.execute(self._emptying)
                c.execute("select setval(seqrelid, seqstart, false) from pg_sequence")
                return _definitions(c)
        except psycopg.OperationalError:
            # A test renamed or dropped it, or took the server away.
            return None

    def _administer(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as c:
            c.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


def with_dependents(*names: str) -> list[str]:
    """These tables and all that refer to them, as `truncate … cascade` takes them."""
    found = set(names)
    while True:
        more = {
            table.name
            for table in metadata.tables.values()
            if {key.column.table.name for key in table.foreign_keys} & found
        } - found
        if not more:
            return sorted(found)
        found |= more


def emptying(tables: Iterable[str]) -> str:
    """A statement that deletes all rows of these tables, whatever guards them.

    For tables of few rows it takes a tenth of the time of `truncate`.
    """
    listed = ", ".join(f"'{name}'" for name in tables)
    return f"""do $$
        declare
            tables text[] := array[{listed}];
            name text;
            large text;
        begin
            set local session_replication_role = replica;
            foreach name in array tables loop
                execute 'delete from ' || quote_ident(name);
            end loop;
            select string_agg(quote_ident(t), ', ') into large from unnest(tables) as t
                where pg_total_relation_size(quote_ident(t)) > {_LARGE_BYTES};
            if large is not null then
                execute 'truncate ' || large || ' cascade';
            end if;
            set local session_replication_role = origin;
        end $$"""  # noqa: S608 - names of our own tables


def _name() -> str:
    return f"test_{uuid.uuid4().hex[:12]}"


def _rows(connection: psycopg.Connection, table: str) -> list[str]:
    query = sql.SQL("select t::text from {} t order by 1").format(sql.Identifier(table))
    return [row for (row,) in connection.execute(query)]


def _definitions(connection: psycopg.Connection) -> str:
    found = connection.execute(_DEFINITIONS).fetchone()
    assert found is not None
    return str(found[0])


def _still_used(connection: psycopg.Connection) -> bool:
    """True where another session is there and does not go. What was just closed is on its way."""
    query = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    for _ in range(50):
        found = connection.execute(query).fetchone()
        connection.rollback()
        if found == (0,):
            return False
        time.sleep(0.002)
    return True
