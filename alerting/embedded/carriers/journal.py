"""The carriers' own durable logs: they record exactly what was accepted.

One JSON object a line in `var/carriers/{sms,email,push}.jsonl`. A line is on disk before the sender
learns that its message was accepted, so after any kill -9 the log decides. It may contain one
message more than a sender knows of (killed between the write and the answer), never one less.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from alerting.embedded.carriers.identity import Carrier
from alerting.errors import BadInput

_TAIL_BYTES = 1 << 16
#: Where there is no fdatasync (macOS) fsync does the same and a little more.
_sync = getattr(os, "fdatasync", os.fsync)


def log_path(var: Path, channel: Carrier) -> Path:
    """Where a carrier's log is below `var`."""
    return var / "carriers" / f"{channel}.jsonl"


def read_log(
    var: Path, channel: Carrier, *, last_bytes: int | None = None
) -> Iterator[dict[str, Any]]:
    """Each accepted message in order, with `at`, `channel`, `to`, `ref`, `id`, `sender`, `body`, …

    `ref` is our delivery id as a number, or None. A log that does not exist is empty, and a last
    line without its end was never acknowledged, so it is left out. It may be read while it grows.

    Args:
        last_bytes: Only the whole lines among so many last bytes. Raises BadInput at a line that is
            not the carriers'.
    """
    try:
        file = log_path(var, channel).open("rb")
    except FileNotFoundError:
        return
    with file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - last_bytes) if last_bytes is not None else 0
        # One byte earlier, so that a window that begins with a line keeps it.
        file.seek(max(0, start - 1))
        if start:
            file.readline()
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                message = json.loads(line)
            except ValueError as e:
                raise BadInput(
                    f"{file.name} holds a line that no carrier wrote, before byte {file.tell()}.",
                    remedy="Move the file away; a new one is begun.",
                ) from e
            yield message


class Journal:
    """Appends to one log with group commit: concurrent lines are written and fsynced together.

    `close` may be called once; waiting lines are written first. Bound to one event loop.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._size = 0
        self._file = -1
        # A thread of its own: an fsync must not wait for another log's.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self._writer: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Open the log and cut off a line that a kill left half-written.

        Raises:
            BadInput: When it cannot be written or another process has it.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = _end_of_last_line(self._file)
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            os.fsync(self._file)
            _sync_folder(self._path.parent)
        except BlockingIOError as e:
            raise BadInput(
                f"Other carriers already write {self._path}.",
                remedy="Stop them, or set ALERTING_VAR to another folder.",
            ) from e
        except OSError as e:
            raise BadInput(
                f"The carriers' log {self._path} cannot be written: {e.strerror}.",
                remedy="Set ALERTING_VAR to a folder that can.",
            ) from e
        self._writer = asyncio.create_task(self._write_forever())

    async def append(self, line: bytes) -> None:
        """Return once the line is on the disk.

        Raises OSError when it could not be put there; then none of it is in the log.
        """
        if self._closing:
            raise OSError("The log is being closed.")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((line, done))
        self._wake.set()
        await done

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()
        if self._file >= 0:
            os.close(self._file)

    async def _write_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._waiting = self._waiting, []
            if not group:
                if self._closing:
                    return
                continue
            error: OSError | None = None
            try:
                data = b"".join(line for line, _ in group)
                await loop.run_in_executor(self._thread, self._write, data)
            except OSError as e:
                error = e
            for _, done in group:
                if done.done():  # whoever waited has gone
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
            if self._closing:
                self._wake.set()

    def _write(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            _sync(self._file)
        except OSError:
            # The senders get a negative answer: nothing of this group may remain.
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(data)


def _end_of_last_line(file: int) -> int:
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _TAIL_BYTES)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as what will be in it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
