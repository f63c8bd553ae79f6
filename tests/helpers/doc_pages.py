"""The pages of the documentation as their tests read them: links, headings and tables."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.M | re.S)
_CODE = re.compile(r"`[^`\n]*`")
_INLINE = re.compile(
    r"(?<!\\)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)"
)
_DEFINITION = re.compile(r"^\[([^\]]+)\]: +(\S+)$", re.M)
_REFERENCE = re.compile(r"\[([^\[\]]+)\](?:\[([^\[\]]*)\])?(?![(:])")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.M)


class Link(NamedTuple):
    """A link of a page: its text, and its target as the page has it."""

    text: str
    target: str


def every_page() -> list[Path]:
    """Every Markdown page that a reader may open, those of the laboratory included."""
    found = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("lab/**/*.md")]
    return sorted(p for p in found if "node_modules" not in p.parts)


@lru_cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", text_of(page))


def links(page: Path) -> Iterator[Link]:
    """All links of a page, inline and by reference. A reference that nobody defines is none."""
    prose = prose_of(page)
    plain = _DEFINITION.sub("", prose)
    for found in _INLINE.finditer(plain):
        yield Link(found[1], found[2])
        # A picture within a link.
        yield from (Link(inner[1], inner[2]) for inner in _INLINE.finditer(found[1]))
    targets = definitions(page)
    for found in _REFERENCE.finditer(_INLINE.sub("", plain)):
        label = (found[2] or found[1]).lower()
        if label in targets:
            yield Link(found[1], targets[label])


def definitions(page: Path) -> dict[str, str]:
    """The targets at the foot of a page, by their labels in small letters."""
    return {label.lower(): target for label, target in _DEFINITION.findall(prose_of(page))}


def anchors(page: Path) -> set[str]:
    """What may stand behind `#` in a link to this page, as GitHub makes it from headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(prose_of(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level, up to the next."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text_of(page), re.M | re.S)
    if found is None:
        raise AssertionError(f"{page.name} has no section {heading!r}")
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their headings."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        if re.fullmatch(r"[|\s:-]+", line):
            found.pop()
            continue
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return [code.strip("`") for code in _CODE.findall(cell)]


@lru_cache
def names_in(path: Path) -> set[str]:
    """Every class, function, method (`Class.method`) and constant that a Python file defines."""
    found: set[str] = set()

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.ClassDef(name=name, body=inner):
                    found.add(prefix + name)
                    look(inner, f"{prefix}{name}.")
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(prefix + name)
                case ast.Assign(targets=targets):
                    found.update(prefix + t.id for t in targets if isinstance(t, ast.Name))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(prefix + name)

    look(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found
