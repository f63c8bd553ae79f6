"""What is refused, in the words a person sees."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cap_documents import flood
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerting.cap import CapError, check, read, to_xml
from alerting.errors import BadInput

DOCTYPE = '<!DOCTYPE alert [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(CapError) as caught:
        read(data, **limits)
    assert isinstance(caught.value, BadInput)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_doctype_is_refused_in_every_encoding(encoding: str) -> None:
    text = flood(("UTF-8", encoding), ("<alert", f"<!-- x --><?y z?>\n{DOCTYPE}<alert")).decode()
    assert "declares a DOCTYPE" in refusal(text.encode(encoding))


def test_entities_are_never_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("swordfish")
    doctype = f'<!DOCTYPE alert [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    data = flood(("<alert", f"{doctype}<alert"), ("Lower Ford", "&x;"))
    assert "swordfish" not in refusal(data)
    assert "not well-formed" in refusal(flood(("Lower Ford", "&x;")))
    assert "not well-formed" in refusal(flood(("<scope>", "<!ENTITY x 'y'><scope>")))


def test_entity_bomb_costs_nothing() -> None:
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    start = time.process_time()
    refusal(flood(("<alert", f'<!DOCTYPE alert [<!ENTITY a0 "ha">{bomb}]><alert')))
    assert time.process_time() - start < 1


def test_doctype_inside_character_data_is_text() -> None:
    html = "<![CDATA[<!DOCTYPE html><p>x</p>]]>"
    (alert,) = read(flood(("The Ford has broken its banks.", html))).alerts
    assert alert.infos[0].description == "<!DOCTYPE html><p>x</p>"
    assert not alert.repairs


def test_too_large_is_refused() -> None:
    assert refusal(b"<" * 1200, max_bytes=1000).startswith(
        "The document has 1,200 bytes; at most 1,000 are read."
    )
    assert read(flood(), max_bytes=len(flood())).alerts


@pytest.mark.parametrize("levels", [60, 70, 300, 100_000])
def test_too_deep_is_refused(levels: int) -> None:
    deep = flood(("<scope>", "<x>" * levels + "</x>" * levels + "<scope>"))
    if levels < 64:
        assert read(deep).alerts
    else:
        assert "more than 64 deep" in refusal(deep)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The document is empty."),
        (b" \n", "The document is empty."),
        (b"hello", "neither XML nor a JSON object"),
        (b"[1]", "neither XML nor a JSON object"),
        (b"<alert>", "not well-formed XML: line 1"),
        (b"<html><body/></html>", "without a CAP alert: its outermost element is 'html'"),
        (b"\xff\xfe\x00", "not the UTF-16 text it begins as"),
        (b'{"a": ', "not readable JSON"),
        (b'{"a":' * 100_000, "not readable JSON"),
        (b"{}", "identifier: missing, and CAP requires it."),
        (b"<alert/>", "has no identifier and no sender and no sent"),
    ],
)
def test_other_documents_are_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("<identifier>ford-2026-11-01-1</identifier>", "")], "The alert has no identifier."),
        (
            [("<sender>control@example.org</sender>", "<sender/>")],
            "The alert 'ford-2026-11-01-1' has no sender.",
        ),
        ([("2026-11-01T10:00:00+01:00", "yesterday")], "sent at 'yesterday', which is no usable"),
        ([("2026-11-01T10:00:00+01:00", "0001-01-01T00:00:00+00:00")], "which is no usable time"),
        ([("2026-11-01T10:00:00+01:00", "2026-02-30T10:00:00+01:00")], "which is no usable time"),
        (
            [(">Actual<", ">Real<")],
            "has status 'Real', which is never guessed. status takes one of",
        ),
        ([("<status>Actual</status>", "")], "has no status, which is never guessed"),
        ([(">Update<", ">News<")], "msgType takes one of Alert, Update, Cancel, Ack, Error."),
        ([(">Update<", ">Test<")], "nobody can tell whether it is real"),
        ([(">Public<", ">Internal<")], "has scope 'Internal', which is never guessed"),
        ([("<info>", "<!--"), ("</info>", "-->")], "says nothing: it has no info"),
        (
            [
                ("<event>Flood</event>", ""),
                ("<headline>Leave the banks of the Ford now</headline>", ""),
                ("<description>The Ford has broken its banks.</description>", ""),
            ],
            "A message of type Update must carry at least one info.",
        ),
    ],
)
def test_unusable_alert_is_refused(changes: list[tuple[str, str]], said: str) -> None:
    assert said in refusal(flood(*changes))


@pytest.mark.parametrize("msg_type", ["Cancel", "Ack", "Error"])
def test_types_without_infos_are_accepted(msg_type: str) -> None:
    (alert,) = read(
        flood((">Update<", f">{msg_type}<"), ("<info>", "<!--"), ("</info>", "-->"))
    ).alerts
    assert alert.infos == ()


@pytest.mark.parametrize(
    "filler",
    ["<x/>" * 100_000, "&" * 400_000, "<![CDATA[" + "<!--" * 100_000 + "]]>", "a,b," * 100_000],
    ids=["elements", "ampersands", "comments", "commas"],
)
def test_slow_document_is_read_in_time(filler: str) -> None:
    start = time.process_time()
    read(flood(("control@example.org,ford-2026-11-01-0,2026-11-01T09:00:00+01:00", filler)))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "document",
    [
        "<feed>" + "<entry>" * 60 + "<alert/>" * 100_000 + "</entry>" * 60 + "</feed>",
        "<alert " + " ".join(f'a{n}="1"' for n in range(150_000)) + "/>",
        '{"info": [' + "1," * 500_000 + "1]}",
    ],
    ids=["nested entries", "attributes", "faulty list"],
)
def test_another_slow_document_is_read_in_time(document: str) -> None:
    start = time.process_time()
    with suppress(CapError):
        read(document.encode())
    assert time.process_time() - start < 5


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    data = bytearray(flood())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 1, 8, 200]))
        data[at : at + length] = draw(
            st.binary(max_size=4)
            | st.sampled_from(
                [b"<", b"</", b"&", b"<!", b"]]>", b'"', b"\0", b"\xff", b"<x>", b"9"]
            )
        )
    return bytes(data)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(broken())
def test_broken_bytes_never_crash(data: bytes) -> None:
    with suppress(CapError):
        for alert in read(data).alerts:
            check(alert)
            to_xml(alert)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["identifier", "sender", "sent", "info", "area", "polygon", "x"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_never_crashes(value: object) -> None:
    assert refusal(json.dumps({"info": value}).encode())
