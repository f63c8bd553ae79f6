"""Comments name other files and modules of the code by names that exist."""

from __future__ import annotations

import re

from doc_pages import ROOT

_FILE = re.compile(r"(?<![\w./-])[a-z_0-9/]+\.(?:py|lua)\b")
_DOTTED = re.compile(r"`([a-z_]\w*(?:\.\w+)+)`")


def modules() -> set[str]:
    """Every module and package of ours, dotted."""
    paths = (p.relative_to(ROOT).with_suffix("") for p in (ROOT / "alerting").rglob("*.py"))
    return {".".join(p.parts).removesuffix(".__init__") for p in paths}


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


def test_modules_named_in_backticks_exist() -> None:
    ours = {f".{name}" for name in modules()}
    packages = {name.rsplit(".", 1)[1] for name in ours} - {"app"}  # also the FastAPI object
    stale = []
    for path in (ROOT / "alerting").rglob("*.py"):
        for name in _DOTTED.findall(path.read_text(encoding="utf-8")):
            ends = (f".{name}", f".{name.rpartition('.')[0]}")
            is_file = name.endswith((".py", ".md", ".toml", ".json", ".html", ".sql"))
            if is_file or name.partition(".")[0] not in packages:
                continue
            if not any(one.endswith(ends) for one in ours):
                stale.append(f"{path.relative_to(ROOT).as_posix()}: {name}")
    assert stale == []
