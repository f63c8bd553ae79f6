"""Strict out: whatever an alert says, its XML is schema-valid and both forms give it back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cap_documents import flood
from hypothesis import HealthCheck, given, settings
from lxml import etree
from strategies_cap import alerts

from alerting.cap import CapError, check, from_json, read, to_json, to_xml
from alerting.cap.refusal import public_but
from alerting.domain.alert import Alert, Polygon, Repair, Scope

SLOW = settings(suppress_health_check=list(HealthCheck))


def example() -> Alert:
    (alert,) = read(flood()).alerts
    return alert


@SLOW
@given(alerts())
def test_xml_round_trip_drops_repairs(alert: Alert) -> None:
    (again,) = read(to_xml(alert)).alerts
    assert again == replace(alert, repairs=())
    assert again.remarks == tuple(filter(None, [public_but(alert)]))


@SLOW
@given(alerts())
def test_json_round_trip_keeps_repairs(alert: Alert) -> None:
    again = from_json(json.loads(json.dumps(to_json(alert))))
    assert again == alert
    assert again.remarks == alert.remarks
    assert again.sent.utcoffset() == alert.sent.utcoffset()


@SLOW
@given(alerts())
def test_every_alert_can_be_checked(alert: Alert) -> None:
    found = check(alert)
    assert len(found.infos) == len(alert.infos)


def test_utc_is_written_as_minus_zero() -> None:
    alert = example()
    assert b"<sent>2026-11-01T10:00:00+01:00</sent>" in to_xml(alert)
    utc = replace(alert, sent=datetime(2026, 11, 1, 9, 0, 0, 999_999, tzinfo=UTC))
    assert b"<sent>2026-11-01T09:00:00-00:00</sent>" in to_xml(utc)
    odd = timezone(timedelta(minutes=19, seconds=32))
    assert b"-00:00</sent>" in to_xml(replace(alert, sent=alert.sent.astimezone(odd)))


def test_names_with_blanks_are_quoted() -> None:
    named = replace(example(), scope=Scope.PRIVATE, addresses=("mill", "town hall"))
    assert b'<addresses>mill "town hall"</addresses>' in to_xml(named)
    assert read(to_xml(named)).alerts[0].addresses == ("mill", "town hall")
    marked = replace(example(), addresses=('the "old" mill',))
    assert b"<addresses>\"the 'old' mill\"</addresses>" in to_xml(marked)


def test_characters_outside_xml_become_blanks() -> None:
    info = replace(example().infos[0], headline="a\x00b\x1fc\ud800d", web="not an address: %zz")
    data = to_xml(replace(example(), infos=(info,)))
    (again,) = read(data).alerts
    assert again.infos[0].headline == "a b c d"
    assert not again.repairs


def test_numbers_are_written_without_exponents() -> None:
    area = replace(
        example().infos[0].areas[0],
        polygons=(Polygon(((1e-7, 0.0), (0.0, 1e-7), (1.0, 1.0), (1e-7, 0.0))),),
        altitude=1e-7,
    )
    info = replace(example().infos[0], areas=(area,))
    data = to_xml(replace(example(), infos=(info,)))
    assert b"<polygon>0.0000001,0 0,0.0000001 1,1 0.0000001,0</polygon>" in data
    assert b"<altitude>0.0000001</altitude>" in data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sent": datetime(2026, 11, 1, 9, 0)}, "has no offset"),  # noqa: DTZ001 (the fault tested)
        ({"infos": (replace(example().infos[0], categories=()),)}, "without a category"),
    ],
)
def test_unwritable_values_raise(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_xml(replace(example(), **change))  # type: ignore[arg-type]


def test_document_is_utf_8_in_cap_namespace() -> None:
    data = to_xml(example())
    assert data.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert etree.fromstring(data).tag == "{urn:oasis:names:tc:emergency:cap:1.2}alert"


def test_json_binding_uses_cap_names() -> None:
    value = to_json(replace(example(), repairs=(Repair("info[1]", "mended"),)))
    assert value["msgType"] == "Update"
    assert value["references"] == [
        {
            "sender": "control@example.org",
            "identifier": "ford-2026-11-01-0",
            "sent": "2026-11-01T09:00:00+01:00",
        }
    ]
    info = value["info"][0]
    assert info["responseType"] == ["Evacuate"]
    assert info["eventCode"] == [{"valueName": "example", "value": "FL"}]
    assert info["area"][0]["polygon"] == ["54.1,-2.9 54.1,-2.8 54.2,-2.8 54.1,-2.9"]
    assert info["area"][0]["circle"] == ["54.15,-2.85 1.5"]
    assert value["repairs"] == [{"where": "info[1]", "what": "mended"}]
    assert "note" not in value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "status",
            "Real",
            "status: takes one of 'Actual', 'Exercise', 'System', 'Test' or 'Draft'",
        ),
        ("sent", "2026-11-01T10:00:00", "sent: takes a time with its offset, like 2026-11-01T10"),
        ("sent", 1793523600, "sent: takes a time with its offset"),
        ("identifier", " ", "identifier: takes a text that is not empty"),
        ("identifier", 7, "identifier: takes a text, not '7'"),
        ("note", "a\x00b", "note: holds the control character U+0000; remove it"),
        ("colour", "red", "colour: not an element of CAP 1.2 here"),
        ("addresses", 'a "b"', "addresses: takes a list"),
        ("addresses", ['a "b"'], "addresses[0]: takes a name without quotation marks"),
        ("info.0.severity", "High", "info[0].severity: takes one of 'Extreme', 'Severe'"),
        ("info.0.category", [], "info[0].category: takes at least one"),
        ("info.0.language", "English (UK)", "info[0].language: takes a language code like en-GB"),
        ("info.0.web", "%zz", "info[0].web: takes a web address"),
        ("info.0.area.0.polygon", ["1,2 3,4"], "info[0].area[0].polygon[0]: takes at least four"),
        ("info.0.area.0.polygon", ["1,2 3,4 5,6"], "the ring was closed"),
        ("info.0.area.0.circle", ["1,2"], "info[0].area[0].circle[0]: takes a centre"),
        ("info.0.area.0.altitude", "high", "info[0].area[0].altitude: "),
    ],
)
def test_json_binding_names_field_and_allowed_values(path: str, value: object, said: str) -> None:
    body = to_json(example())
    *steps, last = path.split(".")
    inner = body
    for step in steps:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[last] = value
    with pytest.raises(CapError) as caught:
        from_json(body)
    assert said in str(caught.value)


def test_many_errors_are_summarised() -> None:
    with pytest.raises(CapError, match=r"And 2 more\.$"):
        from_json(to_json(example()) | dict.fromkeys("abcdefg", 1))


def test_fractions_of_a_second_are_dropped() -> None:
    body = to_json(example()) | {"sent": "2026-11-01T09:00:00.750Z"}
    assert from_json(body).sent == datetime(2026, 11, 1, 9, tzinfo=UTC)
