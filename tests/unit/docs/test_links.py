"""Every link within the documentation leads somewhere. Nothing outside is asked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from doc_pages import ROOT, anchors, every_page, links


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", every_page(), ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for text, target in links(page):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        wrong_anchor = parts.fragment and file.suffix == ".md" and file.is_file()
        if not file.exists() or (wrong_anchor and parts.fragment not in anchors(file)):
            broken.append(f"[{text}]({target})")
    assert broken == []


def test_every_page_is_linked() -> None:
    linked = {
        (page.parent / urlsplit(target).path).resolve()
        for page in every_page()
        for _, target in links(page)
        if urlsplit(target).path and not urlsplit(target).scheme
    }
    # Whoever opens the folder sees these.
    found_anyway = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
    folders = {p.resolve() for p in linked if p.is_dir()}
    lonely = [
        name(p)
        for p in every_page()
        if p not in linked and p.parent not in folders and p.name not in found_anyway
    ]
    assert lonely == []
