"""Both engines in one folder, owned by one process at a time and found by all others."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO

from alerting.embedded import folders, postgres, redis
from alerting.embedded.found import Found as Found
from alerting.embedded.found import find as find
from alerting.errors import AlertingError, BadInput, Unavailable
from alerting.observe.logs import logger

log = logger(__name__)

#: How soon a dead engine is noticed, and when one that would not start is tried again.
_LOOK_S = 0.2
_AGAIN_S = 5.0


class Engines:
    """Running engines. Ended by `stop`, by leaving the `with` block, or with this process.

    postgres, redis: the servers themselves, to be killed and started again; None where not wanted.
    """

    def __init__(
        self,
        found: Found,
        stack: ExitStack,
        server: postgres.Postgres | None,
        cache: redis.Redis | None,
    ) -> None:
        self.database_url = found.database_url
        self.redis_url = found.redis_url
        self.postgres = server
        self.redis = cache
        self._stack = stack

    def stop(self) -> None:
        """End both cleanly; what they hold stays in the folder."""
        self._stack.close()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """An engine that dies while the block lasts is started again over the same data."""
        ending = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(ending,), name="engines", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ending.set()
            # It may be starting one, which nobody would stop otherwise.
            keeper.join()

    def _keep(self, ending: threading.Event) -> None:
        pause_s = _LOOK_S
        while not ending.wait(pause_s):
            pause_s = _LOOK_S
            for name, engine in (("postgres", self.postgres), ("redis", self.redis)):
                if engine is None or not engine.ended:
                    continue
                log.warning("engine.died", engine=name)
                try:
                    engine.start_again()
                    log.warning("engine.started_again", engine=name)
                except (AlertingError, OSError) as e:
                    log.warning("engine.not_started", engine=name, error=str(e))
                    pause_s = _AGAIN_S

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(
    var: Path,
    *,
    with_postgres: bool = True,
    with_redis: bool = True,
    postgres_config: Mapping[str, str] | None = None,
) -> Engines:
    """Start the engines over `var`, making the folder on a first start.

    An engine that is not wanted has an empty URL. postgres_config: see `postgres.start`. Raises
    BadInput when another process runs on the same folder, NotInstalled before anything is made,
    Unavailable when an engine does not come up.
    """
    require(with_postgres=with_postgres, with_redis=with_redis)
    run = _run_folder(var)
    with ExitStack() as stack:
        stack.callback(take(var).close)
        database_url = redis_url = ""
        server, cache = None, None
        if with_postgres:
            server = postgres.start(var.resolve() / "postgres", postgres_config)
            stack.callback(server.stop)
            database_url = server.url
        if with_redis:
            cache = redis.start(var.resolve() / "redis")
            stack.callback(cache.stop)
            redis_url = cache.url
        found = Found(database_url, redis_url, os.getpid())
        address = run / "engines.json"
        new = address.with_suffix(".new")
        with open(new, "w", encoding="utf-8", opener=folders.opener) as file:
            json.dump(asdict(found), file)
        new.replace(address)
        stack.callback(address.unlink, missing_ok=True)
        return Engines(found, stack.pop_all(), server, cache)


def require(*, with_postgres: bool = True, with_redis: bool = True) -> None:
    """Raise NotInstalled or Unavailable where an engine that is wanted cannot be started here."""
    if with_postgres:
        postgres.binaries()
    if with_redis:
        redis.binary()


def take(var: Path) -> IO[str]:
    """Take the folder for this process; closing the file, or dying, gives it back.

    Raises:
        BadInput: Naming the process that has it.
    """
    path = _run_folder(var) / "lock"
    lock = open(path, "a+", encoding="utf-8", opener=folders.opener)  # noqa: SIM115 - given away
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise BadInput(
            f"Another process (pid {owner}) runs on {var}/.",
            remedy="Stop it first, or set ALERTING_VAR to another folder.",
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _run_folder(var: Path) -> Path:
    run = var / "run"
    try:
        folders.private(run)
        with suppress(FileNotFoundError):
            (run / ".probe").unlink()
        (run / ".probe").touch()
        (run / ".probe").unlink()
    except OSError as e:
        raise Unavailable(
            f"{var}/ cannot be written: {e.strerror}.",
            remedy="Correct its rights, or set ALERTING_VAR to another folder.",
        ) from e
    return run
