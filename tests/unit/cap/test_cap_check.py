"""What `check` finds, judged by what a citizen would miss."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cap_documents import flood

from alerting.cap import Findings, check, read
from alerting.domain.alert import Alert, Circle, MsgType, NamedValue, Polygon, Scope, Status


def example() -> Alert:
    (alert,) = read(flood()).alerts
    return alert


def with_info(**changes: Any) -> Alert:
    alert = example()
    return replace(alert, infos=(replace(alert.infos[0], **changes),))


def with_area(**changes: Any) -> Alert:
    area = replace(example().infos[0].areas[0], **changes)
    return with_info(areas=(area,))


def said(found: Findings, level: str) -> str:
    return "\n".join(f"{f.where}: {f.text}" for f in found.findings if f.level == level)


def test_check_of_complete_alert_finds_nothing() -> None:
    found = check(example())
    assert found.findings == ()
    (facts,) = found.infos
    assert (facts.source, facts.hazard, facts.place) == ("senderName", "event", "areaDesc")
    assert (facts.guidance, facts.time) == ("instruction", "expires")
    assert facts.headline_length == 31


@pytest.mark.parametrize(
    ("changes", "fact", "value"),
    [
        ({"sender_name": None}, "source", "sender"),
        ({"event": ""}, "hazard", "headline"),
        ({"event": "", "headline": None}, "hazard", None),
        ({"areas": ()}, "place", None),
        ({"instruction": None}, "guidance", "description"),
        ({"instruction": None, "description": None}, "guidance", None),
        ({"expires": None}, "time", None),
    ],
)
def test_facts_depend_on_elements(changes: dict[str, Any], fact: str, value: str | None) -> None:
    (facts,) = check(with_info(**changes)).infos
    assert getattr(facts, fact) == value


def test_facts_hold_in_every_language() -> None:
    (facts,) = check(with_info(language="ja", headline="川から離れて", instruction="避難")).infos
    assert (facts.hazard, facts.guidance) == ("event", "instruction")


VTEC = NamedValue("VTEC", "/T.NEW.KDTX.FL.W.0001.261101T0900Z-261101T1200Z/")


def new(**changes: Any) -> Alert:
    return replace(with_info(**changes), msg_type=MsgType.ALERT)


def by(hours: float) -> Any:
    return example().sent + timedelta(hours=hours)


TWICE_CROSSED = Polygon(((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)))


@pytest.mark.parametrize(
    ("alert", "level", "text"),
    [
        (with_info(headline="x" * 141), "warning", "headline: 141 characters"),
        (with_info(headline="x" * 140), "note", "headline: 140 characters"),
        (with_info(headline="x" * 91), "note", "headline: 91 characters"),
        (with_info(headline=None), "note", "It has no headline"),
        (with_info(event="", headline=None), "error", "does not say what is happening"),
        (with_info(description="a<br/>b"), "note", "description: It holds HTML"),
        (with_info(expires=None), "warning", "It has no end"),
        (new(expires=by(0)), "error", "It had ended when it was sent"),
        (with_info(expires=by(0)), "note", "taken for the end of the danger"),
        (with_info(expires=by(49)), "note", "It holds for 49 hours"),
        (with_info(onset=by(9)), "error", "It ends before its onset"),
        (with_area(circles=(Circle(1, 1, 3000),)), "warning", "Its radius is 3,000 km"),
        (
            with_info(event_codes=(NamedValue("SAME", "RWT"),)),
            "warning",
            "it waits for a second person",
        ),
        (with_info(headline="THIS IS A TEST of sirens"), "warning", "it waits for a second person"),
        (with_info(parameters=(VTEC,)), "warning", "it waits for a second person"),
        (with_info(effective=by(9)), "error", "It ends before its effective"),
        (with_info(areas=()), "error", "Nobody can be found by it"),
        (with_area(polygons=(TWICE_CROSSED,)), "warning", "polygon[1]: The ring crosses"),
        (with_area(polygons=(Polygon(((1.0, 1.0),) * 4),)), "warning", "encloses nothing"),
        (with_area(circles=(Circle(1, 1, 0),)), "note", "circle[1]: Its radius is 0"),
        (with_area(altitude=None), "warning", "A ceiling without an altitude"),
        (replace(example(), references=()), "error", "Update of nothing"),
        (replace(example(), references=(example().triple,)), "error", "references itself"),
        (
            replace(example(), sent=example().sent - timedelta(hours=2)),
            "error",
            "'ford-2026-11-01-0', which was sent later",
        ),
        (replace(example(), scope=Scope.PRIVATE, addresses=()), "error", "names nobody"),
        (replace(example(), scope=Scope.RESTRICTED), "error", "does not say to whom"),
        (replace(example(), sender="Ford Control"), "warning", "which CAP forbids here"),
    ],
)
def test_check_finds_each_weakness(alert: Alert, level: str, text: str) -> None:
    assert text in said(check(alert), level)
    assert text not in said(check(example()), level)


def test_check_names_unusable_area_beside_a_good_one() -> None:
    area = example().infos[0].areas[0]
    bare = replace(area, polygons=(), circles=(), geocodes=(), area_desc="Upper Ford")
    found = check(with_info(areas=(area, bare)))
    assert "area[2]: Nobody is found by 'Upper Ford'" in said(found, "warning")
    assert not found.errors


def test_check_of_cancel_needs_no_area() -> None:
    alert = replace(with_info(areas=()), msg_type=MsgType.CANCEL)
    assert not check(alert).errors


def test_check_finds_same_text_under_two_languages() -> None:
    info = example().infos[0]
    alert = replace(example(), infos=(info, replace(info, language="cy")))
    assert "under the languages en-GB and cy" in said(check(alert), "warning")
    again = replace(example(), infos=(info, info))
    assert "languages" not in said(check(again), "warning")


def test_check_accepts_ring_across_the_antimeridian() -> None:
    ring = Polygon(((0.0, 179.0), (0.0, -179.0), (1.0, -179.0), (1.0, 179.0), (0.0, 179.0)))
    assert check(with_area(polygons=(ring,))).findings == ()


def test_check_lists_errors_first() -> None:
    found = check(new(expires=by(0), headline=None, areas=()))
    assert [f.level for f in found.findings] == ["error", "error", "warning", "note"]
    assert all(f.remedy for f in found.findings)


def test_check_notes_several_events() -> None:
    (alert,) = read(flood()).alerts
    (info,) = alert.infos
    other = replace(info, event="Wind", headline="Stay inside")
    translated = replace(info, event="Hochwasser", language="de-DE", headline="Gehen Sie")
    noted = [f for f in check(replace(alert, infos=(info, translated, other))).findings
             if "different events" in f.text]  # fmt: skip
    assert [f.where for f in noted] == ["info[1] info[3]"]
    assert not [f for f in check(replace(alert, infos=(info, translated))).findings
                if "different events" in f.text]  # fmt: skip


def test_check_compares_times_with_now() -> None:
    alert = replace(with_info(effective=by(3)), msg_type=MsgType.ALERT)
    assert not check(alert).findings
    early, late = alert.sent - timedelta(hours=1), alert.sent + timedelta(days=1)
    assert "which is still to come" in said(check(alert, early), "error")
    assert "takes effect only at" in said(check(alert, alert.sent), "warning")
    assert "It was over at" in said(check(alert, late), "warning")
    cancel = replace(alert, msg_type=MsgType.CANCEL)
    assert not check(cancel, late).findings


def test_check_accepts_watch_beginning_after_expiry() -> None:
    ends = NamedValue("eventEndingTime", by(30).isoformat())
    assert not check(with_info(onset=by(9), parameters=(ends,))).errors


GERMAN = "Überflutung der Uferstraße. Verlassen Sie die Häuser sofort, gehen Sie zu Fuß bergauf."
GREEK = "Πλημμύρα. Απομακρυνθείτε τώρα."
NAMES = "Floods near São Paulo and Malmö. Leave the river banks and go uphill on foot at once."


@pytest.mark.parametrize(
    ("text", "language", "odd"),
    [
        (GERMAN, "en-US", True),
        (GREEK, "en", True),
        (GERMAN, "de-DE", False),
        (NAMES, "en-GB", False),
        ("Leave now.", "en-GB", False),
    ],
)
def test_check_finds_text_in_another_language(text: str, language: str, odd: bool) -> None:
    found = check(with_info(instruction=text, description=None, headline="!", language=language))
    assert ("its text hardly is" in said(found, "warning")) is odd


def test_check_accepts_marked_test() -> None:
    alert = with_info(event_codes=(NamedValue("SAME", "RWT"),))
    drill = replace(alert, status=Status.TEST, addresses=("crew",))
    assert not check(drill).findings
