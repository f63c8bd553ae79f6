"""References that are a little wrong are kept, and none costs another."""

from __future__ import annotations

import json
import time
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cap_documents import flood
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from strategies_cap import references

from alerting.cap import CapError, check, from_json, lists, read, to_json, to_xml
from alerting.cap.lists import references_text
from alerting.domain.alert import Alert, Reference

CENTRE = "centre@example.org"
AT = "2026-11-01T09:00:00+01:00"
CET = timezone(timedelta(hours=1))
ONE = Reference(CENTRE, "ford-1", datetime(2026, 11, 1, 9, tzinfo=CET))
TWO = Reference(CENTRE, "ford-2", datetime(2026, 11, 1, 9, tzinfo=CET))
LATER = f"{CENTRE},ford-2,{AT}"


def text_of(references: str) -> Alert:
    written = "control@example.org,ford-2026-11-01-0,2026-11-01T09:00:00+01:00"
    (alert,) = read(flood((written, references))).alerts
    return alert


def remarks(alert: Alert) -> str:
    return "\n".join(f"{r.where}: {r.what}" for r in alert.remarks)


@pytest.mark.parametrize(
    "written",
    [
        f"{CENTRE},ford-1,{AT}",
        f"{CENTRE}, ford-1, {AT}",
        f"{CENTRE},\n    ford-1,\n    {AT}\n",
        f"{CENTRE} ,ford-1 , {AT}",
        f"{CENTRE},ford-1,2026-11-01T08:00:00Z",
        f"{CENTRE},ford-1,2026-11-01T08:00:00.000Z",
        f"{CENTRE},ford-1,2026-11-01T09:00+01:00",
        f"{CENTRE},ford-1,2026-11-01 09:00:00+0100",
    ],
)
def test_triple_in_another_form_is_read(written: str) -> None:
    for text, whole in (
        (written, (ONE,)),
        (f"{written} {LATER}", (ONE, TWO)),
        (f"{written}\n{LATER}", (ONE, TWO)),
        (f"{written}, {LATER}", (ONE, TWO)),
        (f"{written};{LATER}", (ONE, TWO)),
        (f"{LATER} {written}", (TWO, ONE)),
    ):
        alert = text_of(text)
        assert (alert.references, alert.loose_references) == (whole, ())


@pytest.mark.parametrize(
    ("written", "loose"),
    [
        ("ford-1", ("ford-1",)),
        ("ford-1 ford-0", ("ford-1", "ford-0")),
        ("ford-1, ford-0", ("ford-1", "ford-0")),
        ("ford-1;ford-0", ("ford-1", "ford-0")),
        (f"{CENTRE},ford-1", ("ford-1",)),
        (f"{CENTRE}, ford-1", ("ford-1",)),
        (f"{CENTRE},ford-1,", ("ford-1",)),
        (f"{CENTRE},ford-1,yesterday", ("ford-1",)),
        (f"{CENTRE},ford-1,2026-13-45T09:00:00Z", ("ford-1",)),
        (f"{CENTRE},ford-1,0001-01-01T09:00:00Z", ("ford-1",)),
        (f"{CENTRE},ford-1,27.11.2026 09:21", ("ford-1",)),
        (f"{CENTRE},ford-1,2026-11-01T9:00Z", ("ford-1",)),
        (f"ford-1,{AT}", ("ford-1",)),
        (f",ford-1,{AT}", ("ford-1",)),
        (f"{CENTRE},ford-1 {CENTRE},ford-0", ("ford-1", "ford-0")),
        ("urn:oid:2.49.0.1.999.1", ("urn:oid:2.49.0.1.999.1",)),
    ],
)
def test_incomplete_triple_is_kept_loose(written: str, loose: tuple[str, ...]) -> None:
    for text, whole in (
        (written, ()),
        (f"{written} {LATER}", (TWO,)),
        (f"{LATER} {written}", (TWO,)),
        (f"{LATER}\n{written}\n{CENTRE},ford-1,{AT}", (TWO, ONE)),
    ):
        alert = text_of(text)
        assert (alert.references, alert.loose_references) == (whole, loose), text
        assert "references: no sender,identifier,sent: " in remarks(alert)
        assert not any("references no earlier" in f.text for f in check(alert).findings)


@pytest.mark.parametrize("written", [CENTRE, f"{CENTRE},", f"{CENTRE},,{AT}", "x" * 1001, ",,;"])
def test_meaningless_reference_is_dropped(written: str) -> None:
    alert = text_of(f"{LATER} {written} {CENTRE},ford-1,{AT}")
    assert (alert.references, set(alert.loose_references) - {CENTRE}) == ((TWO, ONE), set())


def test_sender_with_blanks_is_known_from_context() -> None:
    def read_as(text: str, sender: str = "") -> tuple[list[str], tuple[str, ...]]:
        found = lists.references(text, sender=sender)
        return [f"{r.sender}|{r.identifier}" for r in found.whole], found.loose

    assert read_as(f"KOERI,a KOERI,b,{AT}") == (["KOERI|b"], ("a",))
    assert read_as(f"KOERI,a,{AT} koeri,b") == (["KOERI|a"], ("b",))
    assert read_as("KOERI,b", sender="koeri") == ([], ("b",))
    assert read_as("KOERI,b") == ([], ("KOERI", "b"))
    assert read_as(f"a koeri,b,{AT}", sender="KOERI") == (["koeri|b"], ("a",))
    # Nothing tells these from one name with blanks, as some senders have.
    assert read_as(f"Ford Control,a, b,{AT}") == (["Ford Control|a, b"], ())
    assert read_as(f"s@x.org, a@b,c,{AT}") == (["s@x.org|a@b,c"], ())


def test_identifier_that_looks_like_a_time_is_read() -> None:
    found = lists.references(f"{CENTRE},{AT},{AT} {LATER}")
    assert [r.identifier for r in found.whole] == [AT, "ford-2"]
    assert not found.loose


def test_nested_elements_are_separated() -> None:
    inner = "".join(f"<reference>{CENTRE},{i},{AT}</reference>" for i in ("ford-1", "ford-2"))
    assert text_of(inner).references == (ONE, TWO)


def test_loose_references_are_not_stored() -> None:
    alert = text_of(f"ford-1 {LATER}")
    assert alert.loose_references == ("ford-1",)
    assert b"ford-1<" not in to_xml(alert)
    assert b"ford-1 " not in to_xml(alert)
    stored = from_json(json.loads(json.dumps(to_json(alert))))
    assert (stored, stored.remarks) == (alert, alert.remarks)
    assert stored.loose_references == ()


def in_json(*given: object) -> dict[str, Any]:
    (alert,) = read(flood()).alerts
    return to_json(alert) | {"references": list(given)}


@pytest.mark.parametrize(
    "bare",
    [
        "ford-1",
        {"identifier": "ford-1"},
        {"identifier": "ford-1", "sender": CENTRE},
        {"identifier": "ford-1", "sent": AT},
    ],
)
def test_bare_identifier_in_json_is_kept(bare: object) -> None:
    alert = from_json(in_json(bare, {"sender": CENTRE, "identifier": "ford-2", "sent": AT}))
    assert (alert.references, alert.loose_references) == ((TWO,), ("ford-1",))
    assert remarks(alert) == "references: no sender and time of 'ford-1'; identifier kept"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (LATER, "references[0]: takes an object, not 'centre@example.org,ford-2"),
        ("", "references[0].identifier: takes a text that is not empty"),
        ({"sender": CENTRE, "sent": AT}, "references[0].identifier: missing"),
        (
            {"sender": CENTRE, "identifier": "x", "sent": "yesterday"},
            "references[0].sent: takes a time with its offset",
        ),
        (5, "references[0]: takes an object, not '5'"),
    ],
)
def test_json_binding_is_strict(given: object, said: str) -> None:
    with pytest.raises(CapError) as caught:
        from_json(in_json(given))
    assert said in str(caught.value)


BROKEN = {
    "a-wrong-offset": (datetime(2026, 11, 27, 2, 21, 45, tzinfo=UTC), None),
    "b-identifier-only": (None, "ref-b-identifier-only-1"),
    "c-sent-off-by-1s": (datetime(2026, 11, 27, 9, 21, 46, tzinfo=UTC), None),
    "d-fraction-Z": (datetime(2026, 11, 27, 9, 21, 45, tzinfo=UTC), None),
    "e-none": (None, None),
    "f-other-sender-case": (datetime(2026, 11, 27, 9, 21, 45, tzinfo=UTC), None),
    "g-blank-after-comma": (datetime(2026, 11, 27, 9, 21, 45, tzinfo=UTC), None),
    "h-no-seconds": (datetime(2026, 11, 27, 9, 21, tzinfo=UTC), None),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_references_of_the_field_are_read(corpus: Path, case: str) -> None:
    """What can be read of each is; finding the alert meant is the intake's part."""
    data = (corpus / "field/broken-references" / f"{case}-2-cancel.xml").read_bytes()
    (alert,) = read(data).alerts
    sent, loose = BROKEN[case]
    named = [(r.sender.lower(), r.identifier, r.sent) for r in alert.references]
    assert named == ([(CENTRE, f"ref-{case}-1", sent)] if sent else [])
    assert alert.loose_references == ((loose,) if loose else ())


def test_references_of_real_senders_are_whole_triples(corpus: Path) -> None:
    """Each is one part of the text between two blanks, divided by its first and last comma."""
    texts = {text for data in documents(corpus) for text in written(data)}
    assert len(texts) > 1000
    for text in texts:
        found = lists.references(text)
        parts = [part.split(",") for part in text.split()]
        assert [[r.sender, r.identifier] for r in found.whole] == [p[:2] for p in parts], text
        assert all(len(part) == 3 for part in parts)
        assert not found.loose


def documents(corpus: Path) -> list[bytes]:
    found = [f.read_bytes() for f in (corpus / "corpus").rglob("*") if f.suffix in (".xml", ".cap")]
    for archive in sorted((corpus / "streams").glob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            found += [opened.read(name) for name in opened.namelist() if name.endswith(".xml")]
    return found


def written(data: bytes) -> list[str]:
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(data, parser) if b"references>" in data else None
    elements = [] if root is None else root.iter("{*}references")
    return [text for e in elements if (text := (e.text or "").strip()) and not len(e)]


@given(st.lists(references, max_size=5), st.lists(st.sampled_from(["ford-1", f"{CENTRE},ford-2"])))
def test_triples_among_loose_ones_are_found(whole: list[Reference], loose: list[str]) -> None:
    text = " ".join([references_text(whole), *loose])
    found = lists.references(text)
    assert [(r.sender, r.identifier) for r in found.whole] == [
        (r.sender, r.identifier) for r in whole
    ]
    assert len(found.loose) == len(set(loose))


@pytest.mark.parametrize(
    "filler",
    [
        *["a,b,", "a ", "a@b, ", "a@b,", ", ", ",", " ", "a", ";", "1:,", ":1", "x a,", "a@b , "],
        *["a@b x@y,", "a,b,2026-11-01T09:00:00Z ", " ,2026-11-01T09:00:00Z"],
        *["2026-11-01T09:00:00Z,", "a,a b,2026-13-01T09:00:00Z "],
    ],
)
def test_slow_references_are_read_in_time(filler: str) -> None:
    text = (filler * (2_000_000 // len(filler) + 1))[:2_000_000]
    for end in ("", f",{AT}", "x,"):
        start = time.process_time()
        found = lists.references(text + end, sender="a")
        # Whatever is quadratic in two million characters takes hours.
        assert time.process_time() - start < 2
        assert len(found.whole) + len(found.loose) <= 10_000
