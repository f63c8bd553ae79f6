"""A PostgreSQL with a synchronous standby, and failover from one to the other."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from alerting.embedded import postgres
from alerting.embedded.postgres import Postgres
from alerting.embedded.wait import until
from alerting.errors import Unavailable

_READY_S = 30.0


class Pair:
    """A primary and the standby that has everything the primary has committed.

    Args:
        folder: Where the data of each new standby go. Stop the first primary yourself; `stop` ends
            every standby, promoted or not.
    """

    def __init__(self, primary: Postgres, folder: Path, config: Mapping[str, str]) -> None:
        self.primary = primary
        self._folder = folder
        self._config = config
        self._standbys: list[Postgres] = []
        self.renew()

    def renew(self) -> None:
        """Make a standby from the primary's data; from now on the primary waits for it."""
        folder = self._folder / f"standby-{len(self._standbys) + 1}"
        folder.mkdir(parents=True)
        done = subprocess.run(
            [str(postgres.binaries() / "pg_basebackup"), "-d", self.primary.url,
             "-D", str(folder / "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unavailable(f"No standby could be made: {done.stderr.strip()}")
        self._standbys.append(postgres.start(folder, self._config))
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            # After the copy was made: the standby must not wait for another once it is promoted.
            connection.execute("alter system set synchronous_standby_names = '*'")
            connection.execute("select pg_reload_conf()")
            until(
                lambda: _synchronous(connection), timeout_s=_READY_S, what="a synchronous standby"
            )

    def swap(self, *, kill: bool) -> None:
        """End the primary and promote the standby. With `kill` by SIGKILL, else cleanly."""
        if kill:
            self.primary.kill()
        else:
            self.primary.stop()
        promoted = self._standbys[-1]
        with psycopg.connect(promoted.url, autocommit=True) as connection:
            connection.execute("select pg_promote(true, %s)", (int(_READY_S),))
        self.primary = promoted

    def stop(self) -> None:
        for server in reversed(self._standbys):
            server.stop()


def _synchronous(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "select 1 from pg_stat_replication where sync_state = 'sync' and state = 'streaming'"
    ).fetchone()
    return row is not None
