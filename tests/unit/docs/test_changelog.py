"""The changelog is sorted by kind, as its first lines say."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT

KINDS = ("CHANGE", "FEATURE", "ENHANCEMENT", "BUGFIX")
RELEASES = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)[1:]


@pytest.mark.parametrize("release", RELEASES, ids=lambda text: text.partition("\n")[0])
def test_lines_are_sorted_by_kind_and_part(release: str) -> None:
    lines = re.findall(r"^- (.*)$", release, re.M)
    heads = [re.match(r"\[([A-Z]+)\] ([^:]+): \S", line) for line in lines]
    assert [line for line, head in zip(lines, heads, strict=True) if head is None] == []
    keys = [(KINDS.index(head[1]), head[2].lower()) for head in heads if head]
    assert keys == sorted(keys)
    assert keys
