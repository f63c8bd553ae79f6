"""Canonical content: equal for equal meaning, different for different meaning."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alert_examples import AT, FLOOD, TOWN, alert, box, info
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import Alert, Area, MsgType, NamedValue, Reference, Severity, Status
from alerting.throttle.events.canon import content_hash, text_hash

VILLAGE = Area(
    "Village",
    polygons=(box(52, 8, 53, 9), box(54, 8, 55, 9)),
    geocodes=(NamedValue("UGC", "XXC002"), NamedValue("SAME", "000002")),
)
RICH = alert(
    info(language="en", headline="River rising", areas=(TOWN, VILLAGE)),
    info(language="de", headline="Fluss steigt", instruction="Meiden Sie die Ufer."),
)


@given(st.randoms(use_true_random=False))
def test_order_of_lists_is_ignored(rng: random.Random) -> None:
    def mixed(parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(rng.sample(parts, len(parts)))

    def area(a: Area) -> Area:
        return replace(a, polygons=mixed(a.polygons), geocodes=mixed(a.geocodes))

    infos = [replace(i, areas=mixed(tuple(map(area, i.areas)))) for i in RICH.infos]
    assert content_hash(replace(RICH, infos=mixed(tuple(infos)))) == content_hash(RICH)


def test_names_times_notes_and_references_are_ignored() -> None:
    later = AT + timedelta(hours=1)
    infos = tuple(replace(i, effective=later, onset=later, expires=later) for i in RICH.infos)
    other = replace(
        RICH,
        identifier="b-7",
        sent=later,
        note="sent again",
        references=(Reference("x@example.org", "y", AT),),
        incidents=("storm",),
        infos=infos,
    )
    assert content_hash(other) == content_hash(RICH)


def test_spacing_and_case_of_code_names_are_ignored() -> None:
    area = replace(TOWN, area_desc=" Town\n", geocodes=(NamedValue("ugc", "XXC001"),))
    same = alert(info(event="River   Flood ", areas=(area,)))
    assert content_hash(same) == content_hash(alert(FLOOD))


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.SEVERE},
        {"event": "Flash Flood"},
        {"instruction": "Leave."},
        {"areas": (replace(TOWN, geocodes=(NamedValue("UGC", "xxc001"),)),)},
        {"areas": (replace(TOWN, polygons=(box(50, 8, 51, 9.1),)),)},
        {"areas": (replace(TOWN, ceiling=10_000.0),)},
        {"parameters": (NamedValue("level", "3"),)},
        {"language": "fr"},
    ],
)
def test_changed_info_changes_the_hash(change: dict[str, Any]) -> None:
    assert content_hash(alert(info(**change))) != content_hash(alert(FLOOD))


@pytest.mark.parametrize(
    "other",
    [
        replace(RICH, status=Status.EXERCISE),
        replace(RICH, msg_type=MsgType.UPDATE),
        replace(RICH, sender="other@example.org"),
        replace(RICH, infos=RICH.infos[:1]),
    ],
)
def test_changed_head_changes_the_hash(other: Alert) -> None:
    assert content_hash(other) != content_hash(RICH)


def test_every_displayed_text_changes_the_text_hash() -> None:
    calm = info(headline="River rising", instruction="Stay away.")
    for other in (replace(calm, instruction="Leave now."), replace(calm, headline="River falling")):
        assert text_hash(calm) != text_hash(other)
    assert text_hash(calm) == text_hash(replace(calm, instruction=" Stay  away. "))


def test_composed_and_decomposed_letters_are_equal() -> None:
    assert text_hash(info(headline="Ue\u0301ber")) == text_hash(info(headline="U\u00e9ber"))
