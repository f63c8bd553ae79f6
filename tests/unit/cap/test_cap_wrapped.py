"""Feeds, envelopes and other wrappers."""

from __future__ import annotations

import base64
from html import escape

import pytest
from cap_documents import flood

from alerting.cap import CapError, read, to_json
from alerting.domain.alert import Status

ALERT = flood().decode().partition("?>")[2].strip()
TEST = ALERT.replace(">Actual<", ">Test<")
BROKEN = ALERT.replace("<status>Actual</status>", "")
ATOM = "http://www.w3.org/2005/Atom"


def feed(*entries: str) -> bytes:
    body = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<feed xmlns="{ATOM}"><title>x</title>{body}</feed>'.encode()


def envelope(*contents: str, status: str = "Actual") -> bytes:
    body = "".join(
        f"<contentObject><xmlContent><embeddedXMLContent>{c}</embeddedXMLContent></xmlContent>"
        "</contentObject>"
        for c in contents
    )
    return (
        '<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0">'
        f"<distributionStatus>{status}</distributionStatus>{body}</EDXLDistribution>"
    ).encode()


def test_entry_gives_its_alert_or_its_link() -> None:
    reading = read(
        feed(
            f'<link href="https://example.org/page"/><content type="text/xml">{ALERT}</content>',
            '<link href="https://example.org/page"/>'
            '<link type="application/cap+xml" href="https://example.org/1.cap"/>',
            '<id>https://example.org/2</id><link rel="self" href="https://example.org/feed"/>',
            "<id>urn:x</id>",
        )
    )
    assert reading.kind == "feed"
    assert [a.identifier for a in reading.alerts] == ["ford-2026-11-01-1"]
    assert reading.links == ("https://example.org/1.cap", "https://example.org/2")


def test_cap_elements_in_entry_are_only_a_summary() -> None:
    summary = "".join(
        f'<{name} xmlns="urn:oasis:names:tc:emergency:cap:1.2">{text}</{name}>'
        for name, text in (("identifier", "x"), ("sender", "y"), ("event", "Flood"))
    )
    reading = read(feed(f'<link href="https://example.org/1"/>{summary}'))
    assert (reading.alerts, reading.links) == ((), ("https://example.org/1",))


def test_rss_gives_links() -> None:
    reading = read(
        b"<rss><channel><link>https://example.org/</link><item><title>x</title>"
        b"<link>https://example.org/1.xml</link></item></channel></rss>"
    )
    assert (reading.kind, reading.links) == ("feed", ("https://example.org/1.xml",))


def test_alert_outside_entries_is_ignored() -> None:
    reading = read(f'<feed xmlns="{ATOM}">{ALERT}</feed>'.encode())
    assert (reading.alerts, reading.links) == ((), ())


def test_unusable_alert_keeps_others_and_its_link() -> None:
    reading = read(feed(f'<link href="https://example.org/1"/>{BROKEN}', ALERT))
    assert len(reading.alerts) == 1
    assert reading.links == ("https://example.org/1",)
    assert "has no status" in reading.refused[0]


def test_envelope_carries_elements_text_and_base64() -> None:
    coded = base64.b64encode(flood()).decode()
    reading = read(envelope(ALERT, escape(ALERT), coded, "no alert", "YWxlcnQ="))
    assert reading.kind == "edxl"
    assert len(reading.alerts) == 3
    assert len(set(reading.alerts)) == 1
    assert not reading.refused


def test_doctype_in_carried_text_is_refused() -> None:
    bad = base64.b64encode(b"<!DOCTYPE alert []>" + ALERT.encode()).decode()
    assert read(envelope(ALERT, bad)).alerts == read(envelope(ALERT)).alerts


@pytest.mark.parametrize("status", ["Exercise", "Test", "System"])
def test_exercise_envelope_never_yields_actual_alert(status: str) -> None:
    reading = read(envelope(ALERT, TEST, status=status))
    assert [a.status for a in reading.alerts] == [Status.TEST]
    assert f"says Actual inside an envelope that says {status}" in reading.refused[0]
    with pytest.raises(CapError, match="says Actual inside an envelope"):
        read(envelope(ALERT, status=status))


@pytest.mark.parametrize("wrapped", [ALERT, ALERT.replace(":cap:1.2", ":other")])
def test_other_wrapper_is_read(wrapped: str) -> None:
    reading = read(f"<batch><item>{wrapped}</item><other/></batch>".encode())
    assert (reading.kind, len(reading.alerts)) == ("cap", 1)


def test_json_is_read_by_the_binding() -> None:
    import json

    (alert,) = read(flood()).alerts
    reading = read(json.dumps(to_json(alert)).encode())
    assert (reading.kind, reading.alerts) == ("json", (alert,))
