"""Hazard classes: one danger has one class in whatever language it is told."""

from __future__ import annotations

import pytest
from alert_examples import info
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import Category, NamedValue
from alerting.throttle.hazard import VAGUE, compatible, hazard_of

WORDS = {
    "flood": "Flash Flood Warning|Hochwasser|Inondation|Inundación|Alluvione|Sturmflut|Inundação|"
    "Hoogwater|שיטפונות|Паводок|Повінь|فيضانات|Banjir|Πλημμύρα|Powódź|洪水|Översvämning",
    "storm": "Severe Thunderstorm with hail|STARKES GEWITTER|Orages|Temporale|Trovoada|"
    "Onweer|Гроза|Καταιγίδα|Burze|סופת רעמים",
    "rain": "Heavy Rain|DAUERREGEN|Groene waarschuwing voor regen|Lluvias|Сильний дощ|大雨",
    "hail": "Hail|Hagel|Granizo|Grandine",
    "lightning": "Lightning|Blitzschlag",
    "hurricane": "Hurricane Warning|Tropical Storm|Tormenta tropical|Huracán|Wirbelsturm|台风",
    "wind": "High Wind Watch|STURMBÖEN|Vent violent|Viento|Ветер|Silny wiatr|VENTOS FORTES",
    "earthquake": "Earthquake|Erdbeben|Séisme|Terremoto|רעידת אדמה|Землетрясение|زلزال|Gempa",
    "fire": "Structure Fire|Waldbrand|Incendie|Incendio forestal|Пожар|שריפה|حريق|Bushfire",
    "cold": "Snowfall|Schneefall|Neige-verglas|Nevadas|Снег|GLATTEIS|Śnieg|Ice storm",
    "heat": "Heat Wave|Hitzewarnung|CANICULE|Ola de calor|Upał|Спека",
    "air-raid": "Air raid alert|Повітряна тривога|ירי רקטות וטילים|חדירת כלי טיס עוין",
    "tsunami": "Tsunami|津波警報|Цунами",
    "fog": "Dense Fog|Nebel|Brouillard|Туман|Niebla",
    "transport": "Motor Vehicle Accident|Verkehrsunfall|Traffic Collision|États De Route",
    "missing": "Amber Alert|Vermisste Person|Missing child",
}


@pytest.mark.parametrize(
    ("hazard", "said"), [(h, w) for h, s in WORDS.items() for w in s.split("|")]
)
def test_hazard_from_event_name(hazard: str, said: str) -> None:
    assert hazard_of(info(event=said, event_codes=(), categories=(Category.OTHER,))) == hazard


@pytest.mark.parametrize(
    ("event", "not_this"),
    [
        ("Police Activity", "cold"),
        ("Воздушная тревога: Тернополь", "landslide"),
        ("עירייה", "air-raid"),
    ],
)
def test_word_inside_another_is_no_hazard(event: str, not_this: str) -> None:
    assert hazard_of(info(event=event, event_codes=(), categories=(Category.OTHER,))) != not_this


def test_code_precedes_words_and_words_precede_category() -> None:
    coded = info(event="Warning", event_codes=(NamedValue("SAME", "TOR"),))
    assert hazard_of(coded) == "tornado"
    assert hazard_of(info(event="Unwetter", event_codes=())) == "storm"
    nameless = info(event="Hinweis", event_codes=(), categories=(Category.MET,))
    assert hazard_of(nameless) == "weather"


def test_headline_is_used_when_event_has_no_hazard() -> None:
    asked = info(event="Warning", headline="Tsunami possible", event_codes=())
    assert hazard_of(asked) == "tsunami"


@pytest.mark.parametrize("category", list(Category))
def test_every_category_has_a_class(category: Category) -> None:
    known = hazard_of(info(event="?", event_codes=(), categories=(category,)))
    assert known
    assert compatible(known, known)


def test_alert_without_category_is_other() -> None:
    assert hazard_of(info(event="", event_codes=(), categories=())) == "other"


@given(st.text(max_size=80), st.text(max_size=8))
def test_any_text_has_a_class(event: str, code: str) -> None:
    assert hazard_of(info(event=event, event_codes=(NamedValue("x", code),)))


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        ("storm", "wind", True),
        ("storm", "flood", True),
        ("storm", "hail", True),
        ("rain", "flood", True),
        ("hail", "tornado", False),
        ("earthquake", "tsunami", True),
        ("weather", "fog", True),
        ("fire", "flood", False),
        ("other", "fire", False),
        ("other", "other", True),
        ("missing", "earthquake", False),
    ],
)
def test_compatible_classes(one: str, other: str, may: bool) -> None:
    assert compatible(one, other) is may
    assert compatible(other, one) is may


def test_vague_classes_include_categories_only() -> None:
    assert "flood" not in VAGUE
    assert "weather" in VAGUE
