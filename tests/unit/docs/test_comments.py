"""Comments name other files of the code by names that exist."""

from __future__ import annotations

import re

from doc_pages import ROOT

_FILE = re.compile(r"(?<![\w./-])[a-z_0-9/]+\.(?:py|lua)\b")


def test_files_named_in_the_code_exist() -> None:
    code = [p for p in (ROOT / "alerting").rglob("*") if p.suffix in {".py", ".lua"}]
    assert code
    names = {p.name for p in code} | {"worker.py"}
    stale = [
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for path in code
        for name in _FILE.findall(path.read_text(encoding="utf-8"))
        if name.rpartition("/")[2] not in names
    ]
    assert stale == []
