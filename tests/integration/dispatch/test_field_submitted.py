"""The field's single documents, submitted by a person; what is said of each is in its README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dispatch_harness import DispatchHarness

from alerting.cap import read
from alerting.channels.render import render
from alerting.errors import BadInput

#: What must stand in the SMS, whole, and nothing that only a machine reads.
TEXTS = {
    "cdata-html": ["Go uphill now", "Stay inside"],
    "child-elements": ["Line one", "Line two", "Stay inside"],
    "double-escaped-br": ["Radio & TV", "Stay inside", "Close windows & doors"],
    "emoji": [],
    "literal-backslash-n": ["Go uphill.", "Now.", "Close windows."],
    "markdown": ["Follow @rivers"],
    "null-string": ["Flood"],
    "nws-wrapped": ["Do not drive through water on the road."],
    "placeholder": ["Flood"],
    "rtl-mixed": [],
    "zero-width-and-nbsp": ["Stay inside now", "Go uphill"],
}

_FOR_MACHINES = re.compile(
    r"</?\w+|&\w+;|\*\*|^#|\\n|\]\(|\bnull\b|\bNone\b|N/A|x\(\)|[\u200b\ufeff]"
)


@pytest.mark.parametrize("name", TEXTS)
def test_warning_text_is_rendered_whole(corpus: Path, name: str) -> None:
    (alert,) = read((corpus / "field" / "text" / f"{name}.xml").read_bytes()).alerts
    said = render(alert, info_no=0, area_no=0, channel="sms", language="en", link="").text
    assert not _FOR_MACHINES.search(said), said
    for words in TEXTS[name]:
        assert words in said


@pytest.mark.parametrize("name", ["areadesc-3kB", "same-list-in-one-geocode", "reference-long"])
async def test_long_value_is_accepted(harness: DispatchHarness, corpus: Path, name: str) -> None:
    data = (corpus / "field" / "long-values" / f"{name}.xml").read_bytes()
    assert (await harness.submit(data, now=True)).created


async def test_too_long_identifier_is_refused(harness: DispatchHarness, corpus: Path) -> None:
    data = (corpus / "field" / "long-values" / "identifier-3kB.xml").read_bytes()
    with pytest.raises(BadInput, match="characters"):
        await harness.submit(data, now=True)


async def test_mistyped_severity_is_refused_with_suggestion(
    harness: DispatchHarness, corpus: Path
) -> None:
    data = (corpus / "field" / "typed-severity" / "alert.xml").read_bytes()
    with pytest.raises(BadInput, match="Severe"):
        await harness.submit(data, now=True)


async def test_browser_saved_document_is_repaired_only_for_feeds(
    harness: DispatchHarness, corpus: Path
) -> None:
    data = (corpus / "field" / "text-before-xml" / "alert.xml").read_bytes()
    (alert,) = read(data).alerts
    assert alert.repairs
    with pytest.raises(BadInput, match="before"):
        await harness.submit(data, now=True)
