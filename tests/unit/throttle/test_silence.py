from __future__ import annotations

import time as timer
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from alert_examples import AT, FLOOD, TOWN, alert, box, info
from hypothesis import example, given
from hypothesis import strategies as st

from alerting.domain.alert import (
    Alert,
    Area,
    Circle,
    Info,
    MsgType,
    NamedValue,
    ResponseType,
    Severity,
    Urgency,
)
from alerting.errors import BadInput
from alerting.throttle.hazard import hazard_of
from alerting.throttle.silence import Silence, pattern, silenced_by, touch
from alerting.throttle.silence.matcher import Matcher

HOUR = timedelta(hours=1)


def silence(*matchers: str, **changes: Any) -> Silence:
    values: dict[str, Any] = {
        "id": UUID(int=1),
        "matchers": tuple(Matcher.parse(m) for m in matchers),
        "starts_at": AT,
        "ends_at": AT + HOUR,
        "comment": "The dam is being tested.",
        "created_by": "cli:someone",
    }
    return Silence(**{**values, **changes})


def holds(s: Silence, a: Alert | None = None, area_no: int = 0, **changes: Any) -> bool:
    return silenced_by(a or alert(info(**changes)), 0, area_no, [s], AT) is s


@pytest.mark.parametrize(
    "matcher",
    [
        "event=River Flood", "event = river flood ", "event~.*flood", "event=~River.*",
        "sender=weather@example.org", "category=Met", "category=Geo", "urgency=Expected",
        "certainty=likely", "severity=Moderate", "msgType=Alert", "identifier~a-[0-9]+",
        "parameter:level=2", "parameter:LEVEL=orange", "parameter:level~o.*", "eventCode:SAME=FLW",
        "geocode:UGC~XXC00[1-9]", f"hazard={hazard_of(FLOOD)}",
    ],
)  # fmt: skip
def test_matcher_fits(matcher: str) -> None:
    assert holds(silence(matcher))


@pytest.mark.parametrize(
    "matcher",
    [
        "event=Flood", "event~Flood", "event~River", "category=Fire", "parameter:level=3",
        "parameter:other=2", "eventCode:UGC=FLW", "geocode:UGC=XXC002", "source=x", "hazard=~none",
    ],
)  # fmt: skip
def test_matcher_does_not_fit(matcher: str) -> None:
    assert not holds(silence(matcher))


@pytest.mark.parametrize(
    ("matcher", "fits"),
    [
        ("event!=Storm", True), ("event!=river flood", False), ("category!=Geo", False),
        ("category!=Fire", True), ("event!~.*storm.*", True), ("event!~.*FLOOD", False),
        ("source=", True), ("source!=", False), ("parameter:none=", True),
        ("parameter:none!=", False), ("eventCode:none~(x|)", True), ("parameter:none!=x", True),
        ("parameter:level!~o.*", False),
    ],
)  # fmt: skip
def test_every_matcher_must_fit(matcher: str, fits: bool) -> None:
    assert holds(silence("event=River Flood", matcher)) == fits


def test_geocode_is_that_of_the_matched_area() -> None:
    other = Area("Other", geocodes=(NamedValue("UGC", "XXC999"),))
    a = alert(info(areas=(TOWN, other)))
    s = silence("geocode:UGC=XXC001")
    assert holds(s, a, area_no=0)
    assert not holds(s, a, area_no=1)
    assert not holds(s, a, area_no=-1)


def test_silence_holds_from_start_until_before_end() -> None:
    s = silence("event~.*Flood")
    moments = [AT - timedelta(seconds=1), AT, s.ends_at - timedelta(seconds=1), s.ends_at]
    found = [silenced_by(alert(info()), 0, 0, [s], at) is s for at in moments]
    assert found == [False, True, True, False]


def test_first_matching_silence_is_returned() -> None:
    first, second = silence("event=Storm"), silence("sender~weather.*")
    assert silenced_by(alert(info()), 0, 0, [first, second], AT) is second
    assert silenced_by(alert(info()), 0, 0, [], AT) is None


@pytest.mark.parametrize(
    "a",
    [
        alert(info(), msg_type=MsgType.CANCEL),
        alert(info(severity=Severity.EXTREME)),
        alert(info(urgency=Urgency.PAST)),
        alert(info(response_types=(ResponseType.MONITOR, ResponseType.ALL_CLEAR))),
    ],
)
def test_unsilenceable_alerts_are_not_silenced(a: Alert) -> None:
    assert not holds(silence("event=River Flood"), a)


def test_extreme_area_does_not_protect_lower_areas() -> None:
    a = alert(info(severity=Severity.EXTREME), info(severity=Severity.MINOR))
    s = silence("event=River Flood")
    assert [silenced_by(a, n, 0, [s], AT) for n in (0, 1)] == [None, s]


severities = st.sampled_from(list(Severity))
infos = st.builds(
    info,
    severity=severities,
    urgency=st.sampled_from(list(Urgency)),
    response_types=st.lists(st.sampled_from(list(ResponseType)), max_size=2).map(tuple),
)


@given(st.lists(infos, max_size=3), st.integers(-2, 4), st.sampled_from(list(MsgType)))
def test_extreme_and_ends_are_never_silenced(
    said: list[Info], info_no: int, msg_type: MsgType
) -> None:
    s = silence("sender~weather.*", area=TOWN)
    a = alert(*said, msg_type=msg_type)
    found = silenced_by(a, info_no, 0, [s], AT)
    protected = (
        msg_type is MsgType.CANCEL
        or not 0 <= info_no < len(said)
        or said[info_no].severity is Severity.EXTREME
        or said[info_no].urgency is Urgency.PAST
        or ResponseType.ALL_CLEAR in said[info_no].response_types
    )
    assert (found is None) == protected


@pytest.mark.parametrize(
    ("matchers", "changes", "words"),
    [
        ([], {}, "mute every alert"),
        (["event!=Storm"], {}, "mute every alert"),
        (["event~.*"], {}, "mute every alert"),
        (["event~.+", "source="], {}, "mute every alert"),
        (["event~[^#]+"], {}, "mute every alert"),
        (["severity=extreme"], {}, "Extreme alerts are never silenced"),
        (["event=x"] * 21, {}, "at most 20"),
        (["event=x"], {"ends_at": AT}, "must end after it starts"),
        (["event=x"], {"ends_at": AT + timedelta(days=7, seconds=1)}, "at most 7 days"),
        (["event=x"], {"starts_at": AT.replace(tzinfo=None)}, "need an offset"),
        (["event=x"], {"comment": " "}, "needs a comment"),
        (["event=x"], {"area": Area("Nowhere")}, "The area is empty"),
    ],
)
def test_bad_silence_is_refused(matchers: list[str], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        silence(*matchers, **changes)


def test_seven_days_are_allowed() -> None:
    assert silence("event=x", ends_at=AT + timedelta(days=7)).ends_at == AT + timedelta(days=7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event", "is no matcher"),
        ("=x", "is no matcher"),
        ("evnt=x", "Did you mean event"),
        ("weather=x", "Use sender, event"),
        ("parameter=x", "Did you mean parameter:NAME"),
        ("parameter:=x", "is no matcher"),
        ("severity=Modrate", "It is one of Extreme, Severe"),
        ("event~(", "is wrong"),
        ("event=" + "x" * 301, "longer than 300"),
    ],
)
def test_empty_matcher_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Matcher.parse(text)


def test_matcher_round_trips() -> None:
    for text in ("event=River Flood", "parameter:a b!=x=y", "sender~.*", "geocode:UGC!~X.*"):
        assert str(Matcher.parse(text)) == text


@pytest.mark.parametrize(
    "slow",
    [
        "(a+)+", "(a|a)*b", "(?:a*)*", "(a?){20}a", ".*.*.*.*x", "a?" * 30 + "a" * 30,
        "(?:a|aa)" * 30, "(a)\\1", "(?=a)a", "(?i)a", "(?P<x>a)", "(?#x)a", "a" * 201,
        "a{1,99}+b*c*d*",
        "(((a|b)|c)|d)|" * 3 + "(a|b)(a|b)(a|b)(a|b)", "|".join(["a*b*c*"] * 5), "(a)*",
    ],
)  # fmt: skip
def test_slow_pattern_is_refused(slow: str) -> None:
    with pytest.raises(BadInput):
        pattern.compiled(slow)


@pytest.mark.parametrize(
    ("fine", "text"),
    [
        ("Flood.*(Severn|Thames).*", "flood on the Thames today"),
        ("Flood.*|Storm.*|Wind.*|Rain.*", "RAIN and wind"),
        (r"[(*+?|)]\(\*\d\+", "(" + "(*3+"),
        ("[]a]b", "]b"),
        ("", ""),
    ],
)
def test_useful_patterns_are_accepted(fine: str, text: str) -> None:
    assert pattern.matches(fine, text)
    assert not pattern.matches(fine, text + "\n!")


@given(st.text(alphabet=st.sampled_from(list("ab(|)*+?{2,}[^]\\.:1")), max_size=14))
@example("[[")
def test_accepted_patterns_are_fast(text: str) -> None:
    try:
        pattern.compiled(text)
    except BadInput:
        return
    start_s = timer.process_time()
    for probe in ("a" * pattern.MAX_TEXT, "ab" * (pattern.MAX_TEXT // 2), "a" * 199 + "!"):
        pattern.matches(text, probe)
    assert timer.process_time() - start_s < 2


def test_overlong_text_is_not_silenced() -> None:
    assert pattern.matches("a*", "a" * 200)
    assert not pattern.matches("a*", "a" * 201)
    a = alert(info(event="River Flood " * 40))
    assert not holds(silence("event~River.*"), a)
    assert not holds(silence("sender~weather.*", "event!~Storm.*"), a)
    long = ("River Flood " * 24).strip()
    assert holds(silence(f"event={long}"), alert(info(event=long)))


NEAR = Area("Near", polygons=(box(50.5, 8.5, 52, 10),))
BESIDE = Area("Beside", polygons=(box(50, 9, 51, 10),))
FAR = Area("Far", polygons=(box(10, 8, 11, 9),))
CODE = Area("Code", geocodes=(NamedValue("UGC", "XXC001"),))
#: About 70 km from the area's corner as the crow flies; a box around it would reach the area.
DISC = Area("Disc", circles=(Circle(51.45, 9.7, 60),))


@pytest.mark.parametrize(
    ("area", "touches"),
    [
        (TOWN, True), (NEAR, True), (BESIDE, True), (FAR, False), (CODE, True), (DISC, False),
        (Area("Disc", circles=(Circle(51.45, 9.7, 80),)), True),
        (Area("Point", circles=(Circle(50.5, 8.5, 0),)), True),
        (Area("Other code", geocodes=(NamedValue("UGC", "XXC002"),)), False),
    ],
)  # fmt: skip
def test_area_silences_what_it_touches(area: Area, touches: bool) -> None:
    assert touch(area, TOWN) is touches
    assert touch(TOWN, area) is touches
    assert holds(silence("event=River Flood", area=area)) is touches


@pytest.mark.parametrize(
    ("one", "other", "touches"),
    [
        ("SAME 055079", "FIPS6 55079", True),
        ("same 55079", "SAME 055079", True),
        ("SAME 055000", "SAME 055079", True),
        ("SAME 000000", "SAME 055079", True),
        ("SAME 055079 055081", "SAME 055081", True),
        ("ugc XXC000", "UGC xxz017", True),
        ("SAME 055000", "SAME 056001", False),
        ("SAME 055079", "SAME 055081", False),
        ("SAME 055079", "UGC 055079", False),
    ],
)
def test_geocodes_touch_by_meaning(one: str, other: str, touches: bool) -> None:
    areas = [Area("Codes", geocodes=(NamedValue(*c.split(" ", 1)),)) for c in (one, other)]
    assert touch(areas[0], areas[1]) is touches
    assert touch(areas[1], areas[0]) is touches


def test_circles_touch_circles() -> None:
    one = Area("One", circles=(Circle(50, 8, 10),))
    assert touch(one, Area("Two", circles=(Circle(50.1, 8, 2),)))
    assert not touch(one, Area("Two", circles=(Circle(50.2, 8, 2),)))


def test_alert_without_area_is_in_no_area() -> None:
    assert not holds(silence("event=River Flood", area=TOWN), alert(info(areas=())), -1)
    assert not holds(silence("event=River Flood", area=TOWN), area_no=-1)
