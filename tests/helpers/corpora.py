"""Which of real senders' files a run reads."""

from __future__ import annotations

import json
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sizes import size

from alerting.replay.trace import Trace, read_trace

#: A tenth of the files hold nine tenths of the bytes, and hardly anything that no other has.
MOST_BYTES = size(100_000, 10**9)


def real_files(corpus: Path) -> list[Path]:
    """The documents of the corpus in the order of their names; at night all of them."""
    found = sorted(p for p in (corpus / "corpus").rglob("*") if p.suffix in {".xml", ".cap"})
    return [p for p in found if p.stat().st_size <= MOST_BYTES]


@cache
def stream(corpus: Path, name: str, most: int) -> Trace:
    """The first `most` alerts of a real stream, by when they were sent."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(corpus / "streams" / name) as archive:
        rows = archive.read("truth.jsonl").decode().splitlines()[:most]
        archive.extractall(folder, [json.loads(row)["file"] for row in rows])
        return read_trace([Path(folder)])
