"""Lenient in: each departure real senders make is mended and noted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cap_documents import flood

from alerting.cap import check, read
from alerting.domain.alert import (
    Alert,
    Category,
    Certainty,
    MsgType,
    NamedValue,
    Reference,
    Repair,
    ResponseType,
    Scope,
    Severity,
    Status,
)

CET = timezone(timedelta(hours=1))


def one(*changes: tuple[str, str]) -> Alert:
    (alert,) = read(flood(*changes)).alerts
    return alert


def repaired(alert: Alert) -> str:
    return "\n".join(f"{r.where}: {r.what}" for r in alert.repairs)


def remarked(alert: Alert) -> str:
    return "\n".join(f"{r.where}: {r.what}" for r in alert.remarks)


def test_valid_alert_is_read_without_repair() -> None:
    alert = one()
    info = alert.infos[0]
    area = info.areas[0]
    assert (alert.repairs, alert.remarks) == ((), ())
    assert alert.sent == datetime(2026, 11, 1, 10, tzinfo=CET)
    assert alert.sent.utcoffset() == timedelta(hours=1)
    assert (alert.status, alert.msg_type, alert.scope) == (
        Status.ACTUAL,
        MsgType.UPDATE,
        Scope.PUBLIC,
    )
    assert alert.incidents == ("ford", "old mill")
    assert alert.references == (
        Reference("control@example.org", "ford-2026-11-01-0", datetime(2026, 11, 1, 9, tzinfo=CET)),
    )
    assert info.instruction == "Go to the upper town & stay there."
    assert info.parameters == (NamedValue("gauge", ""),)
    assert info.resources[0].size == 1024
    assert area.polygons[0].points[0] == (54.1, -2.9)
    assert (area.circles[0].radius_km, area.altitude, area.ceiling) == (1.5, 10, 300.5)


@pytest.mark.parametrize(
    "changes",
    [
        [("<language>en-GB</language>", "<language/>")],
        [("<language>en-GB</language>", "")],
        [("10:00:00+01:00</sent>", "09:00:00-00:00</sent>")],
        [("2026-11-01T18:00:00+01:00", "2026-11-01T24:00:00+01:00")],
        [("<circle>", "<circle/><circle>")],
        [("<event>Flood</event>", "<event>\n  Flood\n</event>")],
        [
            (
                "</info>",
                "</info><ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'>"
                "<ds:SignedInfo/></ds:Signature>",
            )
        ],
    ],
)
def test_optional_forms_of_the_schema_are_no_repair(changes: list[tuple[str, str]]) -> None:
    alert = one(*changes)
    assert (alert.repairs, alert.remarks) == ((), ())


def test_hour_24_is_next_midnight() -> None:
    alert = one(("2026-11-01T18:00:00+01:00", "2026-11-01T24:00:00+01:00"))
    assert alert.infos[0].expires == datetime(2026, 11, 2, tzinfo=CET)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([(":cap:1.2", ":cap:1.1")], "alert: CAP 1.1 read as CAP 1.2"),
        (
            [("urn:oasis:names:tc:emergency:cap:1.2", "http://www.incident.com/cap/1.0")],
            "alert: CAP 1.0 read as CAP 1.2",
        ),
        ([(' xmlns="urn:oasis:names:tc:emergency:cap:1.2"', "")], "alert: no namespace"),
        ([("cap:1.2", "cap:7")], "alert: namespace urn:oasis:names:tc:emergency:cap:7 read"),
        (
            [("<scope>Public</scope>", ""), ("<status>", "<scope>Public</scope><status>")],
            "alert: elements out of order, status first",
        ),
        ([("<scope>", "<mood>calm</mood><scope>")], "mood: unknown to CAP 1.2; ignored"),
        ([("<info>", '<info kind="x">')], "info[1]: attribute kind is not CAP's"),
        (
            [("<headline>", "<Headline>"), ("</headline>", "</Headline>")],
            "headline: named Headline",
        ),
        ([("<info>", "stray <info>")], "alert: text between elements ignored"),
        ([("https://example.org/ford<", "https://example.org/[x]<")], "is no web address; escaped"),
        ([("<size>1024", "<size>1 kB")], "'1 kB' is no whole number; left out"),
        ([("<altitude>10", "<altitude>ten")], "'ten' is no number; left out"),
        ([("<mimeType>image/png</mimeType>", "")], "mimeType: missing"),
        ([("T18:00:00+01:00</expires>", "</expires>")], "'2026-11-01' is no time; left out"),
    ],
)
def test_wrong_structure_is_repaired(changes: list[tuple[str, str]], note: str) -> None:
    alert = one(*changes)
    assert note in repaired(alert)
    assert alert.infos[0].headline == "Leave the banks of the Ford now"


def test_values_in_other_case_or_words_are_repaired() -> None:
    alert = one(
        (">Met<", ">Meteorological<"),
        (">Observed<", ">Very Likely<"),
        (">Actual<", "> ACTUAL <"),
        (">Evacuate<", ">all clear<"),
        (">Extreme<", ">High<"),
    )
    info = alert.infos[0]
    assert alert.status is Status.ACTUAL
    assert info.categories == (Category.MET,)
    assert info.certainty is Certainty.LIKELY
    assert info.response_types == (ResponseType.ALL_CLEAR,)
    assert info.severity is Severity.UNKNOWN
    for note in (
        "status: 'ACTUAL' read as Actual",
        "info[1]/category[1]: 'Meteorological' read as Met",
        "info[1]/certainty: 'Very Likely' read as Likely",
        "info[1]/responseType[1]: 'all clear' read as AllClear",
        "info[1]/severity: 'High'; read as Unknown",
    ):
        assert note in repaired(alert)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-11-01T17:00:00Z", datetime(2026, 11, 1, 17, tzinfo=UTC)),
        ("2026-11-01T18:00:00.250+01:00", datetime(2026, 11, 1, 18, tzinfo=CET)),
        ("2026-11-01 18:00", datetime(2026, 11, 1, 18, tzinfo=CET)),
        ("2026-11-01T18:00:00+0100", datetime(2026, 11, 1, 18, tzinfo=CET)),
        ("Sun, 01 Nov 2026 18:00:00 +0100", datetime(2026, 11, 1, 18, tzinfo=CET)),
    ],
)
def test_times_in_other_forms_are_repaired(written: str, at: datetime) -> None:
    alert = one(("2026-11-01T18:00:00+01:00", written))
    assert alert.infos[0].expires == at
    assert "info[1]/expires" in repaired(alert)


def test_times_without_any_offset_are_utc() -> None:
    text = flood().decode().replace("+01:00", "")
    (alert,) = read(text.encode()).alerts
    assert alert.sent == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert "sent: no offset from UTC; read as UTC" in repaired(alert)


def test_buddhist_year_is_converted() -> None:
    (alert,) = read(flood().replace(b"2026-11-01T", b"2569-11-01T")).alerts
    assert alert.sent == datetime(2026, 11, 1, 10, tzinfo=CET)
    assert "sent: year 2569 is of the Buddhist era, read as 2026" in remarked(alert)
    assert not alert.repairs
    assert any("Buddhist" in f.text for f in check(alert).findings)


def test_impossible_time_is_left_out() -> None:
    alert = one(("2026-11-01T18:00:00+01:00", "0001-01-01T00:00:00+00:00"))
    assert alert.infos[0].expires is None
    assert "year 1 is no time of an alert" in remarked(alert)


def test_windows_1252_under_utf_8_is_repaired() -> None:
    data = flood(("Lower Ford", "Café")).replace("é".encode(), b"\xe9")
    (alert,) = read(data).alerts
    assert alert.infos[0].areas[0].area_desc == "Café"
    assert "document: bytes that are not UTF-8 read as Windows-1252" in repaired(alert)


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-16"])
def test_declared_encodings_are_no_repair(encoding: str) -> None:
    text = flood(('"UTF-8"', f'"{encoding}"'), ("Lower Ford", "Café")).decode()
    (alert,) = read(text.encode(encoding)).alerts
    assert alert.infos[0].areas[0].area_desc == "Café"
    assert not alert.repairs


@pytest.mark.parametrize(
    ("old", "new", "reads", "note"),
    [
        ("Lower Ford", "Mill & Ford", "Mill & Ford", "unescaped & escaped"),
        ("Lower Ford", "Caf&eacute;", "Café", "HTML's named characters written out"),
        ("Lower Ford", "Mill\x0bFord", "Mill Ford", "control characters replaced by blanks"),
        ("Lower Ford", "Mill&#11;Ford", "Mill Ford", "references to control characters replaced"),
    ],
)
def test_malformed_text_is_repaired(old: str, new: str, reads: str, note: str) -> None:
    alert = one((old, new))
    assert alert.infos[0].areas[0].area_desc == reads
    assert f"document: {note}" in repaired(alert)


def test_blank_before_declaration_is_repaired() -> None:
    (alert,) = read(b"\n " + flood()).alerts
    assert alert.repairs == (Repair("document", "blank before the XML declaration removed"),)


def test_malformed_declaration_is_repaired() -> None:
    alert = one(('version="1.0"', "version=1.0"))
    assert alert.repairs == (Repair("document", "malformed XML declaration ignored"),)


def test_lang_attribute_names_the_language() -> None:
    alert = one(("<info>", '<info lang="DE">'), ("<language>en-GB</language>", ""))
    assert alert.infos[0].language == "DE"


@pytest.mark.parametrize(("written", "read_as"), [("en_GB", "en-GB"), ("English (UK)", "und")])
def test_bad_language_code_is_repaired(written: str, read_as: str) -> None:
    alert = one((">en-GB<", f">{written}<"))
    assert alert.infos[0].language == read_as
    assert f"read as {read_as}" in repaired(alert)


@pytest.mark.parametrize(
    ("written", "points", "note"),
    [
        ("54.1,-2.9 54.1,-2.8 54.2,-2.8", 4, "the ring was closed"),
        ("54.1, -2.9 54.1, -2.8 54.2 , -2.8 54.1,-2.9", 4, "points not written lat,lon"),
        ("54.1,-2.9,54.1,-2.8,54.2,-2.8,54.1,-2.9", 4, "points not written lat,lon"),
        ("99.1,9.3 99.2,9.3 99.2,9.4 99.1,9.3", 4, "longitude was written before latitude"),
        ("9.3,181 9.4,181 9.4,179 9.3,181", 4, "longitude beyond 180"),
    ],
)
def test_rings_in_other_forms_are_repaired(written: str, points: int, note: str) -> None:
    alert = one(("54.1,-2.9 54.1,-2.8 54.2,-2.8 54.1,-2.9", written))
    (ring,) = alert.infos[0].areas[0].polygons
    assert len(ring.points) == points
    assert ring.points[0] == ring.points[-1]
    assert all(abs(lat) <= 90 and abs(lon) <= 180 for lat, lon in ring.points)
    assert note in remarked(alert)
    assert not alert.repairs


@pytest.mark.parametrize(
    "written", ["54.1,-2.9 54.1,-2.9", "somewhere", "54,1 -2,9 x", "91,181 92,182 93,183 91,181"]
)
def test_unusable_ring_is_left_out_with_a_remark(written: str) -> None:
    alert = one(("54.1,-2.9 54.1,-2.8 54.2,-2.8 54.1,-2.9", written))
    assert alert.infos[0].areas[0].polygons == ()
    assert "left out" in remarked(alert)


def test_cap_1_0_pairs_are_repaired() -> None:
    alert = one(
        ("<valueName>example</valueName><value>FL</value>", "SAME=FLW"),
        (
            "<valueName>example</valueName><value>F1</value>",
            "<valueName>a</valueName><value>1</value><valueName>b</valueName><value>2</value>",
        ),
    )
    info = alert.infos[0]
    assert info.event_codes == (NamedValue("SAME", "FLW"),)
    assert info.areas[0].geocodes == (NamedValue("a", "1"), NamedValue("b", "2"))
    assert "info[1]/eventCode[1]: in the form of CAP 1.0" in repaired(alert)
    assert "info[1]/area[1]/geocode[1]: 2 names and 2 values; paired" in repaired(alert)


def test_missing_optional_elements_are_repaired() -> None:
    alert = one(
        ("<scope>Public</scope>", "<addresses>mill</addresses>"),
        ("<category>Met</category>", ""),
        ("<event>Flood</event>", ""),
        ("<urgency>Immediate</urgency>", ""),
        ("<areaDesc>Lower Ford</areaDesc>", ""),
    )
    info = alert.infos[0]
    assert alert.scope is Scope.PRIVATE  # it names addressees
    assert info.categories == (Category.OTHER,)
    assert info.event == "Leave the banks of the Ford now"
    assert info.areas[0].area_desc == "F1"
    assert len(alert.repairs) == 5


def test_repeated_texts_are_joined() -> None:
    alert = one(
        ("</instruction>", "</instruction><instruction>Take pets.</instruction>"),
        ("</urgency>", "</urgency><urgency>Past</urgency>"),
    )
    assert alert.infos[0].instruction == "Go to the upper town & stay there.\nTake pets."
    assert alert.infos[0].urgency == "Immediate"
    assert "info[1]/instruction: 2 of them where one may be; joined" in repaired(alert)


def test_references_with_blanks_and_commas_are_read() -> None:
    alert = one(
        (
            "control@example.org,ford-2026-11-01-0,2026-11-01T09:00:00+01:00",
            "Ford Control,a,b,2026-11-01T09:00:00+01:00\n"
            " x@example.org,c,2026-11-01T08:00:00Z junk",
        )
    )
    assert [(r.sender, r.identifier) for r in alert.references] == [
        ("Ford Control", "a,b"),
        ("x@example.org", "c"),
    ]
    assert alert.loose_references == ("junk",)
    assert "no sender,identifier,sent: 'junk'; only the identifier kept" in remarked(alert)


def test_misplaced_test_status_is_read_where_consistent() -> None:
    alert = one((">Update<", ">Test<"), (">Actual<", ">Test<"))
    assert (alert.status, alert.msg_type) == (Status.TEST, MsgType.ALERT)


def test_repair_list_is_bounded() -> None:
    unknown = "".join(f"<x{n}/>" for n in range(1000))
    alert = one(("<scope>", f"{unknown}<scope>"))
    assert len(alert.repairs) == 201
    assert alert.repairs[-1].what == "800 more of these"
