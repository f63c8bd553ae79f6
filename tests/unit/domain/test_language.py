from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import Category, Certainty, Info, Severity, Urgency
from alerting.domain.language import best_info, best_language, primary, well_formed


def info(
    language: str, severity: Severity = Severity.SEVERE, urgency: Urgency = Urgency.IMMEDIATE
) -> Info:
    return Info((Category.MET,), "Flood", urgency, severity, Certainty.LIKELY, language)


@pytest.mark.parametrize(
    ("available", "wanted", "best"),
    [
        (["en-US", "fr-FR", "fr-CA"], "fr-CA", "fr-CA"),
        (["en-US", "fr-CA", "fr-FR"], "FR_fr", "fr-FR"),
        (["en-US", "fr-CA"], "fr", "fr-CA"),
        (["pt-BR", "pt"], "pt-PT", "pt"),
        (["en", "iw"], "he-IL", "iw"),
        (["en", "no"], "nb-NO", "no"),
        (["en", "nb-NO", "nn-NO"], "nn", "nn-NO"),
        (["en", "da"], "nb", "da"),
        (["zh-Hans", "zh-Hant"], "zh-TW", "zh-Hant"),
        (["zh-HK", "zh-CN"], "zh", "zh-CN"),
        (["sr-Cyrl", "sr-Latn"], "sr-Latn-RS", "sr-Latn"),
        (["fr", "es"], "ca", "es"),
        (["en", "sp-US"], "es", "sp-US"),
        (["de", "en-GB", "fr"], "ja", "en-GB"),
        (["de", "fr"], "ja", "de"),
        (["de", "fr"], "", "de"),
        ([], "de", ""),
    ],
)
def test_best_language_of_available(available: list[str], wanted: str, best: str) -> None:
    assert best_language(available, wanted) == best


def test_best_info_keeps_given_numbers() -> None:
    assert best_info([(4, info("en-US")), (7, info("uk"))], "uk-UA") == 7
    assert best_info([], "uk") == -1


def test_best_info_prefers_severe_over_minor_or_ended() -> None:
    over = info("en", Severity.EXTREME, urgency=Urgency.PAST)
    assert best_info([(0, over), (1, info("en", Severity.MINOR))], "en") == 1
    assert best_info([(0, info("en", Severity.MINOR)), (1, info("en"))], "en") == 1


def test_best_info_prefers_same_language_over_severity() -> None:
    assert best_info([(0, info("ja", Severity.EXTREME)), (1, info("fi"))], "fi") == 1


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6), st.text(max_size=8))
def test_any_text_is_a_tag(available: list[str], wanted: str) -> None:
    assert best_language(available, wanted) in available
    assert primary(wanted) == primary(wanted.upper()) or not wanted.isascii()


@pytest.mark.parametrize("tag", ["en", "zh-Hant-TW", "es-419", "x"])
def test_well_formed_tags(tag: str) -> None:
    assert well_formed(tag)


@pytest.mark.parametrize("tag", ["", "en_US", "en\r\nX: y", 'en" onload="', "en-", "en\n"])
def test_malformed_tags(tag: str) -> None:
    assert not well_formed(tag)
