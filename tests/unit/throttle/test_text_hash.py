"""The hash of a text: equal for equal words, different for different ones."""

from __future__ import annotations

from dataclasses import replace

from alert_examples import info

from alerting.throttle.reading import text_hash


def test_text_hash_differs_with_any_text_that_is_read() -> None:
    calm = info(headline="River rising", instruction="Stay away.")
    for other in (replace(calm, instruction="Leave now."), replace(calm, headline="River falling")):
        assert text_hash(calm) != text_hash(other)
    assert text_hash(calm) == text_hash(replace(calm, instruction=" Stay  away. "))


def test_text_hash_of_composed_and_decomposed_letters_is_equal() -> None:
    assert text_hash(info(headline="Ue\u0301ber")) == text_hash(info(headline="U\u00e9ber"))
