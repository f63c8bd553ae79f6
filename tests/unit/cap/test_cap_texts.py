"""Texts with elements inside them, which CAP does not allow and senders write."""

from __future__ import annotations

import pytest

from alerting.cap import read
from alerting.domain.alert import Info

_ALERT = """<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
<identifier>a</identifier><sender>s@example.org</sender><sent>2026-11-01T06:00:00+01:00</sent>
<status>Actual</status><msgType>Alert</msgType><scope>Public</scope>
<info><category>Met</category><event>Flood</event><urgency>Immediate</urgency>
<severity>Severe</severity><certainty>Observed</certainty><description>{}</description>
<area><areaDesc>A</areaDesc><circle>1,2 3</circle></area></info></alert>"""


def info(description: str) -> Info:
    return read(_ALERT.format(description).encode()).alerts[0].infos[0]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("<p>Stay inside</p><p>Close windows</p>", ["Stay inside", "Close windows"]),
        ("Line one<br/>Line two", ["Line one", "Line two"]),
        ("Take:<ul><li>Water</li><li>Food</li></ul>", ["Take:", "- Water", "- Food"]),
        ("Go <b>up</b>hill <em>now</em>", ["Go uphill now"]),
        ("<a href='https://example.org'>Map</a>, <x>odd</x>tail", ["Map,", "odd", "tail"]),
        ("<p>One <b>bold</b></p>", ["One bold"]),
        ("plain", ["plain"]),
    ],
)
def test_elements_in_text_separate_words(written: str, lines: list[str]) -> None:
    found = (info(written).description or "").split("\n")
    assert [line.strip() for line in found if line.strip()] == lines


def test_ten_thousand_elements_are_read_in_time() -> None:
    assert (info("<b>x</b>" * 10_000).description or "") == "x" * 10_000
