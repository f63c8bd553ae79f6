"""Whether two alerts without a reference between them speak of one event."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from alert_examples import AT, FLOOD, TOWN, alert, box, info
from event_examples import DISTRICT, copied, fires, report, shaped
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Circle,
    NamedValue,
    Polygon,
    Scope,
    Severity,
    Status,
)
from alerting.throttle.events.same import (
    Likeness,
    Match,
    Pool,
    best_match,
    blocks,
    likeness,
    seek,
    signature,
)

COUNTY = shaped("Weirshire", box(50, 8, 51, 9))
VALLEY = shaped("Tal der Wehr", box(50.2, 8.2, 50.6, 8.6))
ELSEWHERE = shaped("Far away", box(-10, 100, -9, 101))


def compare(new: Alert, old: Alert, *others: Alert) -> Likeness:
    """Judge two alerts, with only these known besides."""
    pool = Pool()
    for one in (new, old, *others):
        pool.add(signature(one), sender=one.sender)
    return likeness(signature(new), signature(old), pool)


def flood(
    text: str, language: str, area: Area, *, sender: str, event: str, minutes: float = 0
) -> Alert:
    return report(
        event,
        text,
        minutes=minutes,
        sender=sender,
        area=area,
        category=Category.MET,
        language=language,
    )


ENGLISH = flood(
    "The river Weir has burst its banks. Leave low ground.",
    "en",
    COUNTY,
    sender="county@example.org",
    event="Flood",
)


# Several agencies


@pytest.mark.parametrize(
    ("text", "language", "event"),
    [
        ("Die Wehr ist über die Ufer getreten. Meiden Sie das Tal.", "de", "Hochwasser"),
        ("הנהר עלה על גדותיו. הימנעו מהעמק.", "he", "שיטפון"),
        ("Річка вийшла з берегів. Уникайте долини.", "uk", "Повінь"),
    ],
)
def test_two_agencies_in_two_languages_are_unsure(text: str, language: str, event: str) -> None:
    other = flood(text, language, VALLEY, sender="dienst@example.org", event=event, minutes=30)
    assert compare(other, ENGLISH).match is Match.UNSURE
    named = [replace(one, incidents=("weir-2026",)) for one in (other, ENGLISH)]
    assert compare(*named).match is Match.SURE


def test_other_hazard_at_same_place_is_another_event() -> None:
    fire = flood("Der Wald brennt.", "de", VALLEY, sender="d@example.org", event="Waldbrand")
    assert compare(fire, ENGLISH).match is Match.NO


def test_two_agencies_on_two_fires_are_not_merged() -> None:
    one = report("House fire", "Case 48211, 12 Mill Street: flames in the kitchen.")
    other = report("Fire", "Smoke at 90 Oak Road, keep windows shut.", sender="police@example.org")
    assert compare(other, one).match is not Match.SURE


def test_two_agencies_on_one_earthquake_match() -> None:
    one = flood("Shaking at Ulm, M 5.1", "en", COUNTY, sender="a@example.org", event="Earthquake")
    other = flood("5,1 bei Ulm", "de", COUNTY, sender="b@example.org", event="Erdbeben")
    assert compare(other, one).match is Match.SURE


def test_common_names_do_not_match_two_agencies() -> None:
    one = report("Fire", "The pier burns. Listen to Radio Weir and to Channel Nine.")
    other = report("Fire", "The mill burns; see Radio Weir, Channel Nine.", sender="b@example.org")
    usual = "All is well, says Radio Weir, and so does Channel Nine."
    known = [report("Power cut", usual, minutes=n, sender="news@example.org") for n in range(30)]
    assert compare(other, one, *known).match is Match.UNSURE


def test_agency_name_does_not_match_two_fires() -> None:
    one = report("Fire", "The pier burns, says the Coast Brigade of Weir Town.")
    other = report(
        "Fire", "The mill burns, says the Coast Brigade of Weir Town.", sender="b@example.org"
    )
    assert compare(other, one).match is Match.UNSURE


def test_related_hazards_of_two_agencies_are_unsure() -> None:
    gale = flood("Sturm", "de", COUNTY, sender="d@example.org", event="Sturmböen")
    rain = flood("Thunder", "en", COUNTY, sender="e@example.org", event="Thunderstorm")
    assert compare(gale, rain).match is Match.UNSURE


# One agency


def test_two_fires_in_one_street_do_not_match() -> None:
    known = [a for a, _ in fires(40, 1)]
    text = "Case {}, {} Mill Street: smoke from the roof. Duty officer on 0800 5550100."
    one = report("House fire", text.format(48211, 12))
    other = report("House fire", text.format(48290, 48), minutes=20)
    assert compare(other, one).match is not Match.SURE
    assert compare(other, one, *known).match is Match.NO


def test_follow_up_matches_by_case_and_house_number() -> None:
    one = report("House fire", "Case 48211, 1204 Mill Street: smoke from the roof.")
    later = report("House fire out", "Case 48211, 1204 Mill Street: no injuries.", minutes=40)
    assert compare(later, one).match is Match.SURE
    assert compare(later, one, *(a for a, _ in fires(40, 1))).match is Match.SURE


def test_other_house_under_same_case_is_unsure() -> None:
    known = [a for a, _ in fires(40, 1)]
    one = report("House fire", "Case 48211, 1204 Mill Street: smoke from the roof.")
    later = report("House fire out", "Case 48211, 1260 Mill Street: no injuries.", minutes=40)
    assert compare(later, one, *known).match is Match.UNSURE


def test_shared_telephone_number_does_not_match() -> None:
    one = report("House fire", "Mill Street, two hurt. Call 5550100.")
    other = report("House fire", "Oak Road, nobody hurt. Call 5550100.", minutes=5)
    assert compare(other, one).match is not Match.SURE


def test_translation_matches() -> None:
    one = flood("Les rivières débordent.", "fr", COUNTY, sender="wx@example.org", event="Crue")
    english = flood("Rivers overflow.", "en", COUNTY, sender="wx@example.org", event="Flood")
    assert compare(english, one).match is Match.SURE


def test_neighbouring_districts_do_not_match() -> None:
    one = report("Storm", "Thunderstorms until evening.")
    there = replace(DISTRICT, area_desc="Hills", geocodes=(NamedValue("district", "8"),))
    assert compare(copied(one, minutes=1, areas=(there,)), one).match is Match.NO


def test_province_code_does_not_match_two_places() -> None:
    code = (NamedValue("province", "NW"),)
    here = Area("Gorge Road", circles=(Circle(-35.29, 148.21, 0),), geocodes=code)
    there = Area("Bay Road", circles=(Circle(-35.58, 144.23, 0),), geocodes=code)
    one = report("Bushfire", "STATUS: under control", area=here)
    assert compare(copied(one, minutes=5, areas=(there,)), one).match is Match.NO
    near = replace(there, circles=(Circle(-35.292, 148.213, 0),))
    assert compare(copied(one, minutes=5, areas=(near,)), one).match is Match.SURE


# Time


def test_repeated_siren_matches_only_while_in_force() -> None:
    siren = report("Air raid", "Take shelter.", hours_valid=0.5, category=Category.SECURITY)
    assert compare(copied(siren, minutes=5), siren).match is Match.SURE
    assert compare(copied(siren, minutes=31), siren).match is Match.NO


def test_late_report_of_named_case_matches() -> None:
    one = report("House fire", "Case 48211, 1204 Mill Street: smoke from the roof.", hours_valid=1)
    late = report("House fire", "Case 48211, 1204 Mill Street: cause found.", minutes=300)
    assert compare(late, one).match is Match.SURE
    too_late = report("House fire", "Case 48211, 1204 Mill Street: cause found.", minutes=1_000)
    assert compare(too_late, one).match is Match.NO


def test_numbered_object_matches_only_until_its_end() -> None:
    gate = report("Flood", "Gauge 48211 at 1204 Mill Street is high.", hours_valid=1)
    assert compare(copied(gate, minutes=30), gate).match is Match.SURE
    assert compare(copied(gate, minutes=90), gate).match is Match.NO


def test_only_current_alerts_of_two_agencies_are_compared() -> None:
    german = flood("Wehr", "de", VALLEY, sender="d@example.org", event="Hochwasser", minutes=361)
    assert compare(german, ENGLISH).match is Match.NO


# Properties


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
def test_exercise_never_matches_actual(status: Status) -> None:
    assert compare(replace(ENGLISH, status=status), ENGLISH).match is Match.NO
    assert compare(ENGLISH, replace(ENGLISH, status=status)).match is Match.NO


def test_private_never_matches_public() -> None:
    assert compare(replace(ENGLISH, scope=Scope.PRIVATE), ENGLISH).match is Match.NO


def places(draw: st.DrawFn) -> Area:
    south, west = draw(st.floats(-60, 60)), draw(st.floats(-170, 160))
    size = draw(st.sampled_from([0.0, 0.001, 0.1, 1.0, 8.0]))
    code = draw(st.sampled_from([(), (NamedValue("c", "1"),), (NamedValue("c", "2"),)]))
    shape = (box(south, west, south + size, west + size),) if draw(st.booleans()) else ()
    return Area(draw(st.sampled_from(["Hill", "Dale"])), polygons=shape, geocodes=code)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    texts = ["Case 48211 at 1204 Mill Street", "Smoke.", "", "Rauch über 48211", "עשן"]
    sent = AT + timedelta(minutes=draw(st.integers(0, 3_000)))
    said = info(
        event=draw(st.sampled_from(["Fire", "Flood", "Storm", "?"])),
        event_codes=(),
        description=draw(st.sampled_from(texts)),
        language=draw(st.sampled_from(["en", "de", "he"])),
        areas=tuple(places(draw) for _ in range(draw(st.integers(0, 2)))),
        expires=draw(st.sampled_from([None, sent + timedelta(hours=2)])),
    )
    return alert(
        said,
        sender=draw(st.sampled_from(["a@example.org", "b@example.org"])),
        sent=sent,
        status=draw(st.sampled_from([Status.ACTUAL, Status.EXERCISE])),
    )


@given(alerts(), alerts())
def test_likeness_is_symmetric_and_bounded(one: Alert, other: Alert) -> None:
    there, back = compare(one, other), compare(other, one)
    assert there.match is back.match
    assert there.score == pytest.approx(back.score)
    assert 0 <= there.score <= 1
    if one.status is not other.status:
        assert there.match is Match.NO


@given(alerts(), alerts())
def test_matching_alerts_share_a_block(one: Alert, other: Alert) -> None:
    if compare(one, other).match is not Match.NO:
        assert blocks(signature(one)) & seek(signature(other))
        assert blocks(signature(other)) & seek(signature(one))


@given(alerts(), st.sampled_from([ELSEWHERE, Area("Nowhere", geocodes=(NamedValue("c", "9"),))]))
def test_disjoint_areas_never_match(one: Alert, area: Area) -> None:
    moved = replace(one, infos=tuple(replace(i, areas=(area,)) for i in one.infos))
    near = any(p.points[0][1] > 90 for i in one.infos for a in i.areas for p in a.polygons)
    if not near:
        assert compare(moved, one).match is Match.NO


def test_alert_without_infos_matches_nothing() -> None:
    bare = replace(ENGLISH, infos=())
    assert compare(bare, ENGLISH).match is Match.NO
    assert compare(bare, bare).match is Match.NO


# Choosing


def test_sure_match_precedes_unsure() -> None:
    gale = flood("Gale", "en", COUNTY, sender="e@example.org", event="Gale")
    storm = flood("Sturm", "de", COUNTY, sender="d@example.org", event="Gewitter")
    storm_too = flood("Blitz", "de", COUNTY, sender="f@example.org", event="Gewitter")
    pool = Pool()
    for one in (gale, storm, storm_too):
        pool.add(signature(one))
    candidates = [("gale", signature(gale)), ("storm", signature(storm))]
    found = best_match(signature(storm_too), candidates, pool)
    assert found is not None
    assert (found[0], found[1].match) == ("storm", Match.SURE)
    assert best_match(signature(storm_too), [], pool) is None


def test_match_explains_itself() -> None:
    found = compare(copied(ENGLISH, minutes=1), ENGLISH)
    assert found.sentence == (
        "Same kind of danger by 100%, shared area 100%, at the same time; the texts agree by 100%."
    )


# The pool


def test_pool_forgets_dropped_alerts() -> None:
    pool = Pool()
    kept = [signature(a) for a, _ in fires(12, 3)]
    for no, one in enumerate(kept):
        pool.add(one, no % 4 or None, sender=one.sender)
    before = len(pool)
    assert before > 3
    for no, one in enumerate(kept):
        pool.drop(one, no % 4 or None, sender=one.sender)
    assert len(pool) == 0
    assert pool.of(kept[0].sender) is pool
    assert pool.share("case #") == 0


def test_reports_of_one_event_do_not_make_its_name_common() -> None:
    one = signature(report("House fire", "Case 48211: smoke."))
    alone, together = Pool(), Pool()
    for _ in range(5):
        alone.add(one)
        together.add(one, "event")
    assert together.weight("48211", but=1) > alone.weight("48211", but=1)


def test_sender_formula_is_no_evidence() -> None:
    form = "Level advice. Location {}. Council area {}. Status under control. Type bush fire. Size "
    form += "nil. Responsible agency rural service. Updated today by the duty desk officer."
    spots = ["Gorge", "Bay", "Ridge", "Lagoon", "Summit", "Quarry", "Meadow", "Forest"]
    ours = [report("Bushfire", form.format(s, s.lower()), minutes=n) for n, s in enumerate(spots)]
    others = [
        report("Traffic", f"Jam {n}", sender=f"{n}@example.org", category=Category.TRANSPORT)
        for n in range(300)
    ]
    assert compare(ours[1], ours[0], *ours[2:], *others).match is not Match.SURE


def test_phrase_in_every_alert_of_a_sender_is_common() -> None:
    pool = Pool()
    for a, _ in fires(60, 2):
        pool.add(signature(a), sender=a.sender)
    assert pool.of("fire@example.org").weight("5550100", but=2) == 0
    assert pool.of("fire@example.org").weight("48211", but=2) > 2


# Large alerts and many of them


def test_huge_alert_is_truncated() -> None:
    ring = [(50 + (i % 37) / 90, 8 + i / 900) for i in range(900)]
    rings = tuple(
        Polygon(
            ((lat := 40 + n % 20, 0.0), *((a + lat - 50, b + n / 30) for a, b in ring), (lat, 0.0))
        )
        for n in range(150)
    )
    area = Area("Everywhere", polygons=rings)
    huge = alert(info(description="Rain over the hills. " * 100_000, areas=(area,)))
    one = signature(huge)
    assert one.shape is not None
    assert len(blocks(one)) < 3_000
    again = signature(copied(huge, minutes=1))
    pool = Pool()
    pool.add(one)
    pool.add(again)
    start = time.process_time()
    for _ in range(10):
        assert likeness(again, one, pool).match is Match.SURE
    assert time.process_time() - start < 2


def test_hundred_candidates_compare_quickly() -> None:
    pool = Pool()
    candidates = [(no, signature(a)) for no, (a, _) in enumerate(fires(60, 5))][:100]
    for _, one in candidates:
        pool.add(one, sender=one.sender)
    new = signature(report("House fire", "Case 48211, 12 Mill Street: smoke.", minutes=3_000))
    start = time.process_time()
    best_match(new, candidates, pool)
    # Five milliseconds as a rule.
    assert time.process_time() - start < 0.25


def test_blocks_leave_few_of_ten_thousand_candidates() -> None:
    near = signature(alert(info(areas=(shaped("Here", box(10.2, 10.2, 10.3, 10.3)),))))
    far = 0
    for lat in range(-60, 60, 3):
        for lon in range(-170, 170, 7):
            there = shaped(f"{lat} {lon}", box(lat + 0.4, lon + 0.4, lat + 0.6, lon + 0.6))
            far += bool(blocks(signature(alert(info(areas=(there,))))) & seek(near))
    assert far <= 1


@pytest.mark.parametrize("size", [0.1, 2.0, 9.0, 40.0])
def test_areas_of_any_two_sizes_share_a_block(size: float) -> None:
    land = signature(alert(info(areas=(shaped("Land", box(1, 1, 41, 41)),))))
    spot = signature(alert(info(areas=(shaped("Spot", box(20, 20, 20 + size, 20 + size)),))))
    assert blocks(land) & seek(spot)
    assert blocks(spot) & seek(land)


def test_severity_does_not_change_the_event() -> None:
    more_severe = copied(ENGLISH, minutes=9, severity=Severity.EXTREME)
    assert compare(more_severe, ENGLISH).match is Match.SURE
    assert compare(alert(FLOOD), alert(info(areas=(TOWN,)))).match is Match.SURE
