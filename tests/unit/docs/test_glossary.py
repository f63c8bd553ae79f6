"""The glossary has one word for one thing: none is defined twice."""

from __future__ import annotations

from collections import Counter

from doc_pages import DOCS, rows, text_of


def test_no_word_is_defined_twice() -> None:
    defined = rows(text_of(DOCS / "glossary.md"))
    words = Counter(w.strip().lower() for cells in defined for w in cells[0].split(","))
    assert [word for word, count in words.items() if count > 1] == []
    assert all(meaning for _, meaning in defined)
    assert len(words) > 50
