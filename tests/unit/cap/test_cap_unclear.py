"""Read with a repair from a feed, refused from a person: one rule for XML and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cap_documents import flood

from alerting.cap import CapError, check, contradictions, read, to_json
from alerting.cap.refusal import refuse_unclear
from alerting.domain.alert import Alert, Severity

ALERT = flood().decode()

MISTYPED = [
    ("severity", "Sever", "Did you mean Severe?"),
    ("severity", "Extrem", "Did you mean Extreme?"),
    ("urgency", "Imediate", "Did you mean Immediate?"),
    ("certainty", "Observd", "Did you mean Observed?"),
    ("responseType", "Evacute", "Did you mean Evacuate?"),
]


def one(document: str) -> Alert:
    (alert,) = read(document.encode()).alerts
    return alert


def with_value(name: str, value: str) -> str:
    """The sample alert with one element of its only info set, put in or (empty) taken out."""
    element = f"<{name}>{value}</{name}>" if value else ""
    start, end = ALERT.find(f"<{name}>"), ALERT.find(f"</{name}>") + len(name) + 3
    if start < 0:
        return ALERT.replace("<urgency>", f"{element}<urgency>")
    return ALERT[:start] + element + ALERT[end:]


@pytest.mark.parametrize(("name", "value", "question"), MISTYPED)
def test_mistyped_word_is_refused_with_suggestion(name: str, value: str, question: str) -> None:
    alert = one(with_value(name, value))
    with pytest.raises(CapError, match=rf"info\[1\]/{name}.*{value}") as caught:
        refuse_unclear(alert)
    assert question in str(caught.value)
    body: dict[str, Any] = to_json(one(ALERT))
    body["info"][0][name] = [value] if name == "responseType" else value
    with pytest.raises(CapError) as in_json:
        read(json.dumps(body).encode())
    assert question in str(in_json.value)


@pytest.mark.parametrize("name", ["severity", "urgency", "certainty"])
def test_missing_word_is_refused_with_the_list(name: str) -> None:
    with pytest.raises(CapError, match=rf"{name}: missing. {name} takes one of .*Unknown"):
        refuse_unclear(one(with_value(name, "")))
    body: dict[str, Any] = to_json(one(ALERT))
    del body["info"][0][name]
    with pytest.raises(CapError, match=rf"{name}: missing"):
        read(json.dumps(body).encode())


def test_unknown_word_is_refused_with_the_list() -> None:
    with pytest.raises(CapError, match=r"'High' is not a CAP value. severity takes one of Extr"):
        refuse_unclear(one(with_value("severity", "High")))


@pytest.mark.parametrize("name", ["sent", "onset", "expires"])
def test_time_without_offset_is_refused_with_suggestion(name: str) -> None:
    with pytest.raises(CapError, match=r"has no offset from UTC. Did you mean 2026-11-01T12:00:00"):
        refuse_unclear(one(with_value(name, "2026-11-01T12:00:00")))


def test_bad_time_is_refused() -> None:
    with pytest.raises(CapError, match=r"expires: 'at noon' is no time. Write it like 2026"):
        refuse_unclear(one(with_value("expires", "at noon")))


@pytest.mark.parametrize("value", ["Unknown", "severe", "SEVERE"])
def test_cap_words_are_accepted_in_any_case(value: str) -> None:
    refuse_unclear(one(with_value("severity", value)))


def test_missing_value_is_refused_despite_many_repairs() -> None:
    many = "".join(f"<x{n}/>" for n in range(300))
    alert = one(with_value("severity", "").replace("<info>", f"{many}<info>"))
    with pytest.raises(CapError, match="severity: missing"):
        refuse_unclear(alert)


def test_all_errors_are_reported_within_a_limit() -> None:
    worst = with_value("severity", "").replace("</info>", "<onset>x</onset>" + "</info>")
    info = worst[worst.find("<info>") : worst.find("</info>") + 7]
    with pytest.raises(CapError, match="And 15 more") as caught:
        refuse_unclear(one(worst.replace(info, info * 10)))
    assert len(str(caught.value)) < 1000


def test_feed_is_repaired_where_submission_refuses() -> None:
    alert = one(with_value("severity", "Sever"))
    assert alert.infos[0].severity is Severity.UNKNOWN
    assert any("'Sever'; read as Unknown" in r.what for r in alert.repairs)
    (error,) = check(alert).errors
    assert (error.where, error.remedy) == ("info[1]/severity", "Did you mean Severe?")
    assert "submission of it is refused" in error.text


BROWSER = "This XML file does not appear to have any style information associated with it.\n"


@pytest.mark.parametrize("before", [BROWSER, "\ufeffSaved. ", "Von: Leitstelle\n\n"])
def test_text_before_xml_is_refused_on_submission_only(before: str) -> None:
    alert = one(before + ALERT)
    assert alert == Alert(**{**_fields(one(ALERT)), "repairs": alert.repairs})
    assert any("text before the XML" in r.what for r in alert.repairs)
    with pytest.raises(CapError, match=r"there is text before the XML. Send the XML alone"):
        refuse_unclear(alert)
    assert [e.where for e in check(alert).errors] == ["document"]


def _fields(alert: Alert) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in Alert.__dataclass_fields__}


@pytest.mark.parametrize("before", ["EXERCISE EXERCISE EXERCISE\n", "This is a test. ", "Draft: "])
def test_rehearsal_text_before_xml_is_always_refused(before: str) -> None:
    with pytest.raises(CapError, match="nobody can tell whether the alert is real"):
        read((before + ALERT).encode())


CONTRADICTIONS = [
    ("Evacuate", "Immediate", "Minor", "Observed", "Did you mean Severe or Extreme?"),
    ("Evacuate", "Immediate", "Unknown", "Observed", "Did you mean Severe or Extreme?"),
    ("Shelter", "Immediate", "Moderate", "Observed", "Did you mean Severe or Extreme?"),
    ("Evacuate", "Past", "Severe", "Observed", "taken for the end of the danger"),
    ("Avoid", "Immediate", "Extreme", "Unlikely", "Did you mean Likely or Possible?"),
    ("Evacuate", "Immediate", "Extreme", "Observed", ""),
    ("Monitor", "Future", "Minor", "Possible", ""),
]


@pytest.mark.parametrize(("response", "urgency", "severity", "certainty", "said"), CONTRADICTIONS)
def test_contradictions_are_reported(
    response: str, urgency: str, severity: str, certainty: str, said: str
) -> None:
    text = with_value("responseType", response)
    for name, value in (("urgency", urgency), ("severity", severity), ("certainty", certainty)):
        start, end = text.find(f"<{name}>"), text.find(f"</{name}>")
        text = f"{text[:start]}<{name}>{value}{text[end:]}"
    found = [f"{f.text} {f.remedy}" for f in contradictions(one(text))]
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_all_clear_beside_an_order_is_a_contradiction() -> None:
    text = ALERT.replace(
        "<urgency>",
        "<responseType>AllClear</responseType><responseType>None</responseType>"
        "<responseType>Shelter</responseType><urgency>",
    )
    found = [f.text for f in contradictions(one(text))]
    assert any("Evacuate and AllClear" in f for f in found)
    assert any("Evacuate and None" in f for f in found)
