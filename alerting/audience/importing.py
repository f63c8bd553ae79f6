"""Import a register's CSV file: streamed, idempotent, bad lines set aside with their reasons."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alerting.audience.bad_row import BadRow
from alerting.audience.register import check_header, read_row
from alerting.audience.seen import Seen
from alerting.errors import BadInput
from alerting.store import audit_log
from alerting.store.citizens import suppressions
from alerting.store.citizens.import_citizens import Merged, RegisterRow, merge
from alerting.store.db import Database, raw

BATCH = 5000

#: The number of bytes examined to detect the kind of file.
_HEAD_BYTES = 65_536

_SAVE = "Save the file as UTF-8 (in a spreadsheet: CSV UTF-8) and import it again."


@dataclass(slots=True)
class Report:
    """The result of an import, in lines of the file. `errors` is the file with the refused ones."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    errors: str = ""

    @property
    def lines(self) -> int:
        return self.added + self.changed + self.unchanged + self.refused


async def import_file(
    db: Database,
    path: Path,
    *,
    errors: Path,
    actor: str = "register",
    dry_run: bool = False,
    loopback_push: bool = False,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Report:
    """Update the directory to the content of the file.

    Each batch is one transaction; repeating an import changes nothing. A bad line goes to `errors`
    with its number, reason and remedy and does not stop the others. Raises BadInput before anything
    is changed for a file that cannot be read, is not UTF-8, or has a wrong header.

    Args:
        progress: Called with the bytes read.
        dry_run: Return the same report and leave the directory unchanged.
    """
    report = Report()
    with ExitStack() as stack:
        source = _open(path, stack)
        lines = csv.DictReader(_decoded(source, progress), strict=True)
        _header(lines, path)
        refuse = _refuser(errors, report, stack)
        importing = _Importing(db, refuse, report, subject=path.name, actor=actor, dry_run=dry_run)
        for number, line in _numbered(lines, refuse):
            try:
                row = read_row(line, loopback_push=loopback_push)
            except BadRow as e:
                refuse(number, f"{e.detail} {e.remedy}".strip())
                continue
            await importing.take(number, row)
        await importing.flush()
    return report


class _Importing:
    """Collects rows and merges them a batch at a time."""

    def __init__(
        self,
        db: Database,
        refuse: Callable[[int, str], None],
        report: Report,
        *,
        subject: str,
        actor: str,
        dry_run: bool,
    ) -> None:
        self._db = db
        self._refuse = refuse
        self._report = report
        self._subject = subject
        self._actor = actor
        self._dry_run = dry_run
        self._rows: dict[str, RegisterRow] = {}
        self._lines: dict[str, int] = {}
        self._seen = Seen()

    async def take(self, number: int, row: RegisterRow) -> None:
        if row.ref in self._rows:
            self._refuse_twice(row.ref, number, self._lines[row.ref])
            return
        self._rows[row.ref] = row
        self._lines[row.ref] = number
        if len(self._rows) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        for ref, before in self._seen.earlier(list(self._rows)).items():
            self._refuse_twice(ref, self._lines[ref], before)
            del self._rows[ref]
            del self._lines[ref]
        if not self._rows:
            return
        merged = await self._merge(list(self._rows.values()))
        self._report.added += merged.added
        self._report.changed += merged.changed
        self._report.unchanged += merged.unchanged
        self._seen.note(list(self._lines), list(self._lines.values()))
        self._rows.clear()
        self._lines.clear()

    async def _merge(self, rows: list[RegisterRow]) -> Merged:
        async with self._db.begin() as connection:
            merged = await merge(await raw(connection), rows)
            await suppressions.start(
                connection, merged.came_back, actor=self._actor, revive=False,
                subject=self._subject, why="the register says that they agreed to it again",
            )  # fmt: skip
            if merged.added or merged.changed:
                numbers = self._lines.values()
                detail = {
                    "lines": [min(numbers), max(numbers)],
                    "added": merged.added,
                    "changed": merged.changed,
                }
                await audit_log.record(
                    connection, self._actor, "citizens.import", self._subject, detail
                )
            if self._dry_run:
                await connection.rollback()
        return merged

    def _refuse_twice(self, ref: str, number: int, before: int) -> None:
        self._refuse(
            number,
            f"ref: {ref!r} is on line {before} and on line {number}; the first was used. "
            "Give each citizen one line, with a key of their own.",
        )


def _open(path: Path, stack: ExitStack) -> IO[bytes]:
    try:
        source = stack.enter_context(path.open("rb"))
        head = source.read(_HEAD_BYTES)
        source.seek(0)
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Check the path.") from e
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in head.split(b"\n")[0]:
        raise BadInput(f"{path} is UTF-16 text, not UTF-8.", remedy=_SAVE)
    if b"\r" in head and b"\n" not in head:
        raise BadInput(
            f"The lines of {path} end with CR alone, as on old Macintoshes.",
            remedy="Save the file with lines that end in LF or CRLF and import it again.",
        )
    return source


def _decoded(source: IO[bytes], progress: Callable[[int], None]) -> Iterator[str]:
    """The lines. A byte that is not UTF-8 becomes a surrogate, for which its row is refused."""
    done = 0
    for number, line in enumerate(source, 1):
        done += len(line)
        progress(done)
        text = line.decode("utf-8", "surrogateescape")
        yield text.lstrip("\ufeff") if number == 1 else text


def _header(lines: csv.DictReader[str], path: Path) -> None:
    try:
        columns = lines.fieldnames
    except csv.Error as e:
        raise BadInput(f"{path} is no CSV file: {e}.") from e
    if columns is None:
        raise BadInput(f"{path} is empty.", remedy="The first line names the columns.")
    if any("\udc80" <= c <= "\udcff" for name in columns for c in name):
        raise BadInput(f"The header line of {path} is no UTF-8 text.", remedy=_SAVE)
    check_header([c.strip() for c in columns])
    lines.fieldnames = [c.strip() for c in columns]


def _numbered(
    lines: csv.DictReader[str], refuse: Callable[[int, str], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Whole lines with the number each ends on in the file; blank ones are skipped."""
    while True:
        try:
            line = next(lines)
        except StopIteration:
            return
        except csv.Error as e:
            refuse(lines.line_num, f"this line is no CSV: {e}.")
            continue
        if _is_blank(line):
            continue
        if None in line or any(v is None for v in line.values()):
            refuse(lines.line_num, "this line has more or fewer fields than the header.")
            continue
        yield lines.line_num, line


def _is_blank(line: Mapping[str | None, str | list[str] | None]) -> bool:
    """Spreadsheets end their files with rows of commas."""
    return not any("".join(v or "").strip() for v in line.values())


def _refuser(errors: Path, report: Report, stack: ExitStack) -> Callable[[int, str], None]:
    """Writes refused lines; the file is made with the first of them."""
    writers: list[Callable[[list[object]], object]] = []

    def refuse(number: int, reason: str) -> None:
        if not writers:
            file = stack.enter_context(errors.open("w", newline="", encoding="utf-8"))
            writers.append(csv.writer(file).writerow)
            writers[0](["line", "reason"])
            report.errors = str(errors)
        writers[0]([number, reason])
        report.refused += 1

    return refuse
