"""Import a register's CSV file: streamed, idempotent, bad lines set aside with their reasons."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alerting.audience.register import BadRow, check_header, doubtful_codes, read_row
from alerting.errors import BadInput
from alerting.store.db import Database, raw
from alerting.store.import_citizens import RegisterRow, merge

BATCH = 5000


@dataclass(slots=True)
class Report:
    """What an import did, in lines of the file. `errors` is the file with the refused ones, and
    with those that were imported though something looks wrong, `doubtful` of them."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    doubtful: int = 0
    errors: str = ""

    @property
    def lines(self) -> int:
        return self.added + self.changed + self.unchanged + self.refused


async def import_file(
    db: Database,
    path: Path,
    *,
    errors: Path,
    loopback_push: bool = False,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Report:
    """Bring the directory to what the file says.

    Each batch is one transaction; doing it again changes nothing. A bad line goes to `errors`
    with its number and reason and stops nobody else. `progress` hears how many bytes are read.
    Raises BadInput before anything is changed for a file that cannot be read, is not UTF-8 at its
    head, or has a wrong header.
    """
    report = Report()
    with ExitStack() as stack:
        source = _open(path, stack)
        lines = csv.DictReader(_decoded(source, path, progress), strict=True)
        _header(lines, path)
        batch: dict[str, RegisterRow] = {}
        write = _writer(errors, report, stack)

        def refuse(number: int, reason: str) -> None:
            write(number, reason)
            report.refused += 1

        for number, line in _numbered(lines, refuse):
            try:
                row = read_row(line, loopback_push=loopback_push)
            except BadRow as e:
                refuse(number, e.detail)
                continue
            if row.ref in batch:
                refuse(number, f"ref: {row.ref!r} stands on an earlier line too.")
                continue
            batch[row.ref] = row
            if doubts := doubtful_codes(row.geocodes):
                write(number, f"imported, but geocodes: {'; '.join(doubts)}")
                report.doubtful += 1
            if len(batch) >= BATCH:
                await _merge(db, batch, report)
        await _merge(db, batch, report)
    return report


def _open(path: Path, stack: ExitStack) -> IO[bytes]:
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Check the path.") from e


def _decoded(source: IO[bytes], path: Path, progress: Callable[[int], None]) -> Iterator[str]:
    done = 0
    for number, line in enumerate(source, 1):
        done += len(line)
        progress(done)
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as e:
            raise BadInput(
                f"{path}, line {number} is not UTF-8 text.",
                remedy="Save the file as UTF-8 (in a spreadsheet: CSV UTF-8) and import it again; "
                "what was imported before this line stays and is not imported twice.",
            ) from e


def _header(lines: csv.DictReader[str], path: Path) -> None:
    try:
        columns = lines.fieldnames
    except csv.Error as e:
        raise BadInput(f"{path} is no CSV file: {e}.") from e
    if columns is None:
        raise BadInput(f"{path} is empty.", remedy="The first line names the columns.")
    check_header([c.strip() for c in columns])
    lines.fieldnames = [c.strip() for c in columns]


def _numbered(
    lines: csv.DictReader[str], refuse: Callable[[int, str], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Whole lines with the number each ends on in the file."""
    while True:
        try:
            line = next(lines)
        except StopIteration:
            return
        except csv.Error as e:
            refuse(lines.line_num, f"this line is no CSV: {e}.")
            continue
        if None in line or any(v is None for v in line.values()):
            refuse(lines.line_num, "this line has more or fewer fields than the header.")
            continue
        yield lines.line_num, line


def _writer(errors: Path, report: Report, stack: ExitStack) -> Callable[[int, str], None]:
    """Writes what is wrong with a line; the file is made with the first of them."""
    writers: list[Callable[[list[object]], object]] = []

    def write(number: int, reason: str) -> None:
        if not writers:
            file = stack.enter_context(errors.open("w", newline="", encoding="utf-8"))
            writers.append(csv.writer(file).writerow)
            writers[0](["line", "reason"])
            report.errors = str(errors)
        writers[0]([number, reason])

    return write


async def _merge(db: Database, batch: dict[str, RegisterRow], report: Report) -> None:
    if not batch:
        return
    async with db.begin() as connection:
        merged = await merge(await raw(connection), list(batch.values()))
    report.added += merged.added
    report.changed += merged.changed
    report.unchanged += merged.unchanged
    batch.clear()
