"""Who speaks, whether it is real and for whom: said once, plainly, or refused."""

from __future__ import annotations

import base64
import json
import time
from contextlib import suppress
from dataclasses import replace
from html import escape
from typing import Any

import pytest
from cap_documents import flood

from alerting.cap import CapError, check, read, to_json
from alerting.cap.refusal import public_but, refuse_unclear
from alerting.domain.alert import Alert, MsgType, Scope, Status
from alerting.errors import BadInput

ALERT = flood().decode().partition("?>")[2].strip()
EXERCISE = ALERT.replace(">Actual<", ">Exercise<")
DE_1 = "urn:oasis:names:tc:emergency:EDXL:DE:1.0"
DE_2 = "urn:oasis:names:tc:emergency:EDXL:DE:2.0"

#: The six, what stands in the document, and another value.
SIX = [
    ("identifier", "ford-2026-11-01-1", "ford-2026-11-01-2"),
    ("sender", "control@example.org", "drill@example.org"),
    ("sent", "2026-11-01T10:00:00+01:00", "2026-11-01T11:00:00+01:00"),
    ("status", "Actual", "Exercise"),
    ("msgType", "Update", "Cancel"),
    ("scope", "Public", "Restricted"),
]


def one(*changes: tuple[str, str]) -> Alert:
    (alert,) = read(flood(*changes)).alerts
    return alert


def refusal(data: bytes) -> str:
    with pytest.raises(CapError) as caught:
        read(data)
    assert isinstance(caught.value, BadInput)
    return str(caught.value)


def beside(name: str, value: str, more: str) -> tuple[str, str]:
    element = f"<{name}>{value}</{name}>"
    return element, f"{element}{more}"


@pytest.mark.parametrize(("name", "value", "other"), SIX)
@pytest.mark.parametrize(
    "form",
    [
        "<{name}>{other}</{name}>",
        "<{upper}>{other}</{upper}>",
        '<x:{name} xmlns:x="http://www.incident.com/cap/1.0">{other}</x:{name}>',
        '<{name} xmlns="">{other}</{name}>',
        "<{name}/>",
    ],
    ids=["same", "case", "namespace", "no namespace", "empty"],
)
def test_two_different_values_are_refused(name: str, value: str, other: str, form: str) -> None:
    more = form.format(name=name, upper=name.upper(), other=other)
    for changes in (beside(name, value, more), (f"<{name}>", f"{more}<{name}>")):
        said = refusal(flood(changes))
        assert f"2 times {name}, and they differ" in said
        assert f"Say {name} once." in said


@pytest.mark.parametrize(("name", "value", "other"), SIX)
def test_contradicting_attribute_is_refused(name: str, value: str, other: str) -> None:
    assert "and they differ" in refusal(flood(("<alert ", f'<alert {name.lower()}="{other}" ')))
    assert one(("<alert ", f'<alert {name}="{value}" ')).status is Status.ACTUAL


@pytest.mark.parametrize(("name", "value", "other"), SIX)
def test_same_value_twice_is_a_repair(name: str, value: str, other: str) -> None:
    alert = one(beside(name, value, f"<{name}> {value} </{name}>"))
    assert [(r.where, r.what) for r in alert.repairs] == [
        (name, "2 of them where one may be; all the same")
    ]
    assert replace(alert, repairs=()) == one()


@pytest.mark.parametrize(("name", "value", "other"), SIX)
@pytest.mark.parametrize("form", ["{head}<b>{tail}</b>", "<b>{head}{tail}</b>", "{head}<b/>{tail}"])
def test_nested_elements_are_refused(name: str, value: str, other: str, form: str) -> None:
    text = form.format(head=value[:3], tail=value[3:])
    said = refusal(flood((f"<{name}>{value}<", f"<{name}>{text}<")))
    assert f"elements inside its {name}" in said


@pytest.mark.parametrize(("name", "value", "other"), SIX)
@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\u202e", "\ufeff", "\u2060"])
def test_invisible_characters_are_refused(name: str, value: str, other: str, hidden: str) -> None:
    for text in (f"{value[:3]}{hidden}{value[3:]}", f"{value}{hidden}", f"{hidden}{value}"):
        said = refusal(flood((f"<{name}>{value}<", f"<{name}>{text}<")))
        assert f"an invisible character, U+{ord(hidden):04X}, in its {name}" in said


@pytest.mark.parametrize("name", ["identifier", "sender"])
def test_invisible_characters_are_refused_in_json(name: str) -> None:
    body = to_json(one())
    body[name] += "\u200b"
    assert f"in its {name}" in refusal(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("status", "Actual", "A.c.t.u.a.l"),
        ("status", "Actual", "Act ual"),
        ("status", "Actual", "Actual."),
        ("status", "Actual", "Actu\u0430l"),
        ("msgType", "Update", "Up-date"),
        ("msgType", "Update", "ac\u212a"),
        ("msgType", "Update", "T.e.s.t"),
        ("scope", "Public", "Public!"),
        ("scope", "Public", "Pri vate"),
    ],
)
def test_lookalike_words_are_refused(name: str, value: str, text: str) -> None:
    said = refusal(flood((f"<{name}>{value}<", f"<{name}>{text}<")))
    assert f"has {name} {text!r}, which is never guessed. {name} takes one of" in said


def test_case_and_blanks_are_no_guess() -> None:
    alert = one((">Actual<", "> ACTUAL\n<"), (">Update<", ">update<"), (">Public<", ">pubLIC<"))
    assert (alert.status, alert.msg_type, alert.scope) == (
        Status.ACTUAL,
        MsgType.UPDATE,
        Scope.PUBLIC,
    )
    assert {(r.where, r.what) for r in alert.repairs} == {
        ("status", "'ACTUAL' read as Actual"),
        ("msgType", "'update' read as Update"),
        ("scope", "'pubLIC' read as Public"),
    }


@pytest.mark.parametrize(("name", "value", "other"), SIX)
@pytest.mark.parametrize("same", [True, False])
def test_repeated_name_in_json_is_refused(name: str, value: str, other: str, same: bool) -> None:
    text = json.dumps(to_json(one()))
    more = f'"{name}": {json.dumps(value if same else other)}'
    for twice in ("{" + more + ", " + text[1:], text[:-1] + ", " + more + "}"):
        assert f"gives {name!r} more than once. Give each name once." in refusal(twice.encode())


def test_repeated_name_anywhere_in_json_is_refused() -> None:
    text = json.dumps(to_json(one()))
    severe = '"severity": "Extreme"'
    assert severe in text
    twice = text.replace(severe, severe + ', "sever\\u0069ty": "Minor"')
    assert "gives 'severity' more than once" in refusal(twice.encode())


def envelope(
    status: str, content: str, *, root: str = "EDXLDistribution", namespace: str = DE_1
) -> str:
    return (
        f'<{root} xmlns="{namespace}">{status}<contentObject><xmlContent><embeddedXMLContent>'
        f"{content}</embeddedXMLContent></xmlContent></contentObject></{root}>"
    )


def said(status: str, name: str = "distributionStatus") -> str:
    return f"<{name}>{status}</{name}>"


def in_list(value: str, kind: str = "StatusKind") -> str:
    return said(
        f"<{kind}><ct:valueListURI xmlns:ct='urn:x'>urn:example:status</ct:valueListURI>"
        f"<ct:value xmlns:ct='urn:x'>{value}</ct:value></{kind}>"
    )


def soap(content: str, head: str = "") -> str:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Header>{head}</s:Header><s:Body>{content}</s:Body></s:Envelope>"
    )


def feed(*entries: str) -> str:
    body = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{body}</feed>'


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


UNREAL = {
    # The rows of the list that showed the fault.
    "Exercise": envelope(said("Exercise"), ALERT),
    "exercise": envelope(said("exercise"), ALERT),
    "in an element": envelope(said("<StatusKindDefault>Exercise</StatusKindDefault>"), ALERT),
    "root in lower case": envelope(said("Exercise"), ALERT, root="edxlDistribution"),
    "Actual and Exercise": envelope(said("Actual") + said("Exercise"), ALERT),
    "Draft": envelope(said("Draft"), ALERT),
    "any root": envelope(said("Exercise"), ALERT, root="envelope"),
    # And others of the kind.
    "version 2.0": envelope(
        said("<StatusKindDefault>Exercise</StatusKindDefault>"),
        ALERT,
        root="edxlDistribution",
        namespace=DE_2,
    ),
    "value list": envelope(in_list("Training"), ALERT, namespace=DE_2),
    "value list of the default": envelope(in_list("Test", "StatusKindDefault"), ALERT),
    "kind alone": envelope("<StatusKindDefault>Exercise</StatusKindDefault>", ALERT),
    "Unknown": envelope(said("Unknown"), ALERT),
    "empty": envelope(said(""), ALERT),
    "in pieces": envelope(said("Act<b>ual</b>"), ALERT),
    "with points": envelope(said("A.c.t.u.a.l"), ALERT),
    "invisible": envelope(said("Actual\u200b"), ALERT),
    "more words": envelope(said("Actual exercise"), ALERT),
    "after the alert": envelope("", ALERT).replace("</EDXL", f"{said('Test')}</EDXL"),
    "prefix": envelope(said("Exercise", "de:distributionStatus"), ALERT).replace(
        "<EDXLDistribution", f'<EDXLDistribution xmlns:de="{DE_1}"'
    ),
    "dashes": envelope(said("Exercise", "distribution-status"), ALERT),
    "capitals": envelope(said("Exercise", "DISTRIBUTION_STATUS"), ALERT),
    "longer name": envelope(said("Exercise", "edxlDistributionStatus"), ALERT),
    "attribute": envelope("", ALERT).replace(" xmlns", ' distributionStatus="Exercise" xmlns', 1),
    "in a header": envelope(f"<head>{said('Exercise')}</head>", ALERT),
    "beside another alert": envelope(f"<x>{said('Exercise')}{EXERCISE}</x>", ALERT),
    "another status": f"<message>{said('Exercise', 'status')}{ALERT}</message>",
    "another status in pieces": f"<m>{said('<v>Ex</v><v>ercise</v>', 'msg_status')}{ALERT}</m>",
    "status of a batch": f'<batch status="TEST"><item>{ALERT}</item></batch>',
    "soap": soap(envelope(said("Exercise"), ALERT)),
    "soap header": soap(ALERT, said("Exercise")),
    "envelope in envelope": envelope(said("Actual"), envelope(said("Exercise"), ALERT)),
    "outer envelope": envelope(said("Exercise"), envelope(said("Actual"), ALERT)),
    "feed": feed(envelope(said("Exercise"), ALERT)),
    "entry": feed(f"{said('Exercise', 'status')}<content>{ALERT}</content>"),
    "whole feed": feed(ALERT).replace("<entry>", f"{said('Exercise')}<entry>", 1),
    "escaped alert": envelope(said("exercise"), escape(ALERT)),
    "coded alert": envelope(said("exercise"), coded(ALERT)),
    "escaped envelope": envelope(said("Actual"), escape(envelope(said("Test"), ALERT))),
    "coded envelope": feed(f"<content>{coded(envelope(said('Test'), ALERT))}</content>"),
    "escaped in a wrapper": soap(f"<content>{escape(envelope(said('Test'), ALERT))}</content>"),
}

REAL = {
    "Actual": envelope(said("Actual"), ALERT),
    "another case and blanks": envelope(said("\n actual "), ALERT),
    "two": envelope(said("Actual") + said("Actual"), ALERT),
    "version 2.0": envelope(
        said("<StatusKindDefault>Actual</StatusKindDefault>"),
        ALERT,
        root="edxlDistribution",
        namespace=DE_2,
    ),
    "value list": envelope(in_list("Actual"), ALERT, namespace=DE_2),
    "no status": envelope("", ALERT),
    "kind of envelope": envelope(
        said("Actual") + said("Cancel", "distributionType") + said("Ack", "distributionKind"), ALERT
    ),
    "another status": f"<message>{said('delivered', 'status')}{said('200', 'httpStatus')}{ALERT}"
    "</message>",
    "another entry": feed(envelope(said("Exercise"), EXERCISE), ALERT),
    "another envelope": soap(envelope(said("Exercise"), EXERCISE) + envelope("", ALERT)),
    "escaped": envelope(said("Actual"), escape(envelope(said("Actual"), ALERT))),
}


@pytest.mark.parametrize("document", UNREAL.values(), ids=UNREAL)
def test_actual_alert_in_other_envelope_is_refused(document: str) -> None:
    try:
        reading = read(document.encode())
    except CapError as e:
        refused = str(e)
    else:
        assert all(alert.status is not Status.ACTUAL for alert in reading.alerts)
        refused = " ".join(reading.refused)
    assert "'ford-2026-11-01-1' says Actual inside an envelope that says " in refused


@pytest.mark.parametrize("document", UNREAL.values(), ids=UNREAL)
def test_other_alert_in_any_envelope_is_read(document: str) -> None:
    bare = document.replace(">Actual<", ">Exercise<").replace(
        escape(">Actual<"), escape(">Exercise<")
    )
    if coded(ALERT) in bare:
        bare = bare.replace(coded(ALERT), coded(EXERCISE))
    bare = bare.replace(
        coded(envelope(said("Test"), ALERT)), coded(envelope(said("Test"), EXERCISE))
    )
    reading = read(bare.encode())
    assert {alert.status for alert in reading.alerts} == {Status.EXERCISE}
    assert not reading.refused


@pytest.mark.parametrize("document", REAL.values(), ids=REAL)
def test_actual_alert_in_actual_envelope_is_read(document: str) -> None:
    reading = read(document.encode())
    assert one() in reading.alerts
    assert not reading.refused


def test_alert_inside_an_alert_is_ignored() -> None:
    nested = EXERCISE.replace("</alert>", f"{ALERT}</alert>")
    (alert,) = read(f"<batch>{nested}</batch>".encode()).alerts
    assert alert.status is Status.EXERCISE


NAMED = [
    "<restriction>police only</restriction>",
    "<addresses>police</addresses>",
    "<restriction>police only</restriction><addresses>police</addresses>",
]


@pytest.mark.parametrize("more", NAMED)
def test_public_with_addresses_is_refused_on_submission(more: str) -> None:
    alert = one(beside("scope", "Public", more))
    assert (alert.scope, public_but(alert)) == (Scope.PUBLIC, alert.remarks[0])
    with pytest.raises(CapError, match=r"has scope Public, and yet .* given. Say Restricted or"):
        refuse_unclear(alert)
    (error,) = check(alert).errors
    assert (error.where, error.text) == ("scope", f"{alert.remarks[0].what}.")
    assert not any(f.level == "warning" for f in check(alert).findings)


def test_public_with_addresses_is_remarked_in_json() -> None:
    body: dict[str, Any] = to_json(one()) | {"addresses": ["police"]}
    (alert,) = read(json.dumps(body).encode()).alerts
    assert alert.remarks == (public_but(alert),)
    (again,) = read(json.dumps(to_json(alert)).encode()).alerts
    assert again.remarks == alert.remarks


@pytest.mark.parametrize("scope", ["Restricted", "Private"])
@pytest.mark.parametrize("more", NAMED)
def test_other_scopes_accept_addresses(scope: str, more: str) -> None:
    alert = one((">Public</scope>", f">{scope}</scope>{more}"))
    refuse_unclear(alert)
    assert not alert.remarks


@pytest.mark.parametrize("noise", ["", "<x{}/>"], ids=["alone", "behind many repairs"])
@pytest.mark.parametrize("scope", ["", "<scope/>", "<scope> </scope>"])
def test_missing_scope_is_refused_on_submission(scope: str, noise: str) -> None:
    many = "".join(noise.format(n) for n in range(300))
    alert = one(("<scope>Public</scope>", f"{many}{scope}"))
    assert alert.scope is Scope.PUBLIC
    with pytest.raises(CapError, match=r"no scope.*Say Public, Restricted or Private"):
        refuse_unclear(alert)


def test_plain_alert_is_clear() -> None:
    refuse_unclear(one())


@pytest.mark.parametrize(
    "document",
    [
        envelope("", "<distributionStatus>" * 50 + "<x/>" * 400_000 + "</distributionStatus>" * 50),
        envelope("", "<y>" * 50 + "<distributionStatus/>" * 90_000 + "</y>" * 50 + ALERT),
        envelope("", "<y>" * 50 + f"{said('')}<alert/>" * 40_000 + "</y>" * 50),
        "<e " + " ".join(f'a{n}status="Exercise"' for n in range(80_000)) + "/>",
    ],
    ids=["nested statuses", "many statuses", "many alerts", "attributes"],
)
def test_slow_envelope_is_read_in_time(document: str) -> None:
    start = time.process_time()
    with suppress(CapError):
        read(document.encode())
    assert time.process_time() - start < 5
