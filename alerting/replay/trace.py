"""Reads folders, zips, feeds and single files into one trace: alerts in the order they were sent.

A `truth.jsonl` beside them says which incident each message is about.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePath

from alerting.cap import CapError, read
from alerting.domain.alert import Alert
from alerting.errors import BadInput

#: The name of the file with the incidents.
TRUTH = "truth.jsonl"


@dataclass(slots=True)
class Truth:
    """Incidents by file name and by identifier; a line for the file takes precedence."""

    by_file: dict[str, str | None] = field(default_factory=dict)
    by_identifier: dict[str, str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """True when it names any incident."""
        return any(v is not None for v in (*self.by_file.values(), *self.by_identifier.values()))

    def update(self, other: Truth) -> None:
        self.by_file.update(other.by_file)
        self.by_identifier.update(other.by_identifier)

    def knows(self, file: str, identifier: str) -> bool:
        return PurePath(file).name in self.by_file or identifier in self.by_identifier

    def incident(self, file: str, identifier: str) -> str | None:
        """The incident of a message; None when it has none of its own or none is known."""
        name = PurePath(file).name
        if name in self.by_file:
            return self.by_file[name]
        return self.by_identifier.get(identifier)


def read_truth(name: str, data: bytes) -> Truth:
    """Read `truth.jsonl`: one object per line with `identifier` (or `file`) and `incident`.

    Raises:
        BadInput: Naming the invalid line.
    """
    truth = Truth()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fact = json.loads(line)
            incident = fact["incident"]
            incident = None if incident is None else str(incident)
            if "file" in fact:
                truth.by_file[PurePath(str(fact["file"])).name] = incident
            if "identifier" in fact:
                truth.by_identifier[str(fact["identifier"])] = incident
        except (ValueError, KeyError, TypeError) as e:
            raise BadInput(
                f"{name}, line {number} does not say which incident a message is about.",
                remedy='Write one object a line: {"identifier": …, "incident": … or null}.',
            ) from e
    return truth


#: A file with such a name counts as CAP; any other only if it begins like XML.
_SUFFIXES = frozenset({".xml", ".cap", ".atom", ".rss", ".json", ".edxl", ".edxlde"})

#: A feed of a whole country is larger than any single alert may be.
_MAX_BYTES = 64_000_000

#: A day of a country's alerts has some ten thousand.
_MOST_FILES = 500_000


@dataclass(frozen=True, slots=True)
class Played:
    """One alert and the file it came from."""

    alert: Alert
    file: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A file, or an alert in it, that could not be used, and why."""

    file: str
    reason: str


@dataclass(slots=True)
class Trace:
    """Everything read. `ignored` counts the files that neither are nor claim to be CAP."""

    played: list[Played] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    ignored: int = 0
    truth: Truth = field(default_factory=Truth)

    @property
    def alerts(self) -> list[Alert]:
        return [p.alert for p in self.played]


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    #: Reads the content; only one file is in memory at a time.
    load: Callable[[], bytes]
    #: Named on the command line, so it is read whatever its name.
    asked_for: bool = False


def read_trace(paths: list[Path], *, truth: Path | None = None) -> Trace:
    """Read every alert under `paths`: folders, zips, feeds, envelopes and single CAP files.

    Alerts are ordered by `sent`, then by path, file name and position in the file. Unreadable ones
    are listed and skipped. Nothing is fetched, so the bare links of a feed are listed too.

    Raises:
        BadInput: For a missing path, a broken zip, or when no alert could be read.
    """
    trace = Trace()
    with ExitStack() as opened:
        for path in paths:
            files = list(islice(_files(path, opened), _MOST_FILES + 1))
            if len(files) > _MOST_FILES:
                raise BadInput(
                    f"{path} holds more than {_MOST_FILES:,} files.", remedy="Play a part of it."
                )
            for file in sorted(files, key=lambda f: f.name):
                _take(file, trace)
    if truth is not None:
        trace.truth.update(read_truth(truth.name, _bytes(truth)))
    if not trace.played:
        first = f" The first: {trace.refused[0].file}: {trace.refused[0].reason}" * bool(
            trace.refused
        )
        raise BadInput(
            f"Not one CAP alert could be read from {', '.join(map(str, paths))}.{first}",
            remedy="Name a folder, a zip, a feed or a file that holds CAP.",
        )
    # Stable: alerts sent at the same instant keep the order of reading.
    trace.played.sort(key=lambda p: p.alert.sent)
    return trace


def _files(path: Path, opened: ExitStack) -> Iterator[_File]:
    if path.is_dir():
        for found in path.rglob("*"):
            if found.is_file():
                yield _plain(found, str(found.relative_to(path)))
    elif path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path)):
        try:
            archive = opened.enter_context(zipfile.ZipFile(path))
        except OSError as e:
            raise _unreadable(path, e) from e
        except zipfile.BadZipFile as e:
            raise BadInput(f"{path} is no readable zip: {e}.") from e
        for entry in archive.infolist():
            if not entry.is_dir():
                yield _File(entry.filename, entry.file_size, partial(archive.read, entry))
    else:
        yield _plain(path, path.name, asked_for=True)


def _plain(path: Path, name: str, *, asked_for: bool = False) -> _File:
    try:
        size = path.stat().st_size
    except OSError as e:
        raise _unreadable(path, e) from e
    return _File(name, size, partial(_bytes, path), asked_for)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise _unreadable(path, e) from e


def _unreadable(path: Path, error: OSError) -> BadInput:
    return BadInput(
        f"{path} cannot be read: {error.strerror or error}.",
        remedy="Check the path and its rights.",
    )


def _take(file: _File, trace: Trace) -> None:
    """Add one file's alerts to the trace, or the reason why there are none."""
    if file.size > _MAX_BYTES:
        trace.refused.append(Refused(file.name, "The file is too large."))
        return
    try:
        data = file.load()
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as e:
        # A damaged, encrypted or unsupported member does not affect the others.
        trace.refused.append(Refused(file.name, f"It cannot be unpacked: {e}."))
        return
    if Path(file.name).name == TRUTH:
        trace.truth.update(read_truth(file.name, data))
        return
    if not (file.asked_for or _looks_like_cap(file.name, data)):
        trace.ignored += 1
        return
    try:
        reading = read(data, max_bytes=_MAX_BYTES)
    except CapError as e:
        trace.refused.append(Refused(file.name, str(e)))
        return
    trace.played += [Played(alert, file.name) for alert in reading.alerts]
    trace.refused += [Refused(file.name, why) for why in reading.refused]
    if reading.links:
        why = f"It names {len(reading.links)} alerts by link only; nothing is fetched."
        trace.refused.append(Refused(file.name, why))


def _looks_like_cap(name: str, data: bytes) -> bool:
    if Path(name).suffix.lower() in _SUFFIXES:
        return True
    return data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
