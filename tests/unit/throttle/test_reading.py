"""Which changes of a text are news to whoever reads it."""

from __future__ import annotations

import pytest

from alerting.domain.alert import Category, Certainty, Info, Severity, Urgency
from alerting.throttle.reading import reads_alike, words_read


def read(headline: str, instruction: str | None = None, description: str | None = None) -> Info:
    return Info(
        (Category.SAFETY,),
        "Flood",
        Urgency.IMMEDIATE,
        Severity.EXTREME,
        Certainty.OBSERVED,
        headline=headline,
        instruction=instruction,
        description=description,
    )


@pytest.mark.parametrize(
    ("notified", "said"),
    [
        ("Leave the valley now", "LEAVE the valley -- now!"),
        ("Seek shelter immediately", "Seek shelter immediatley"),
        ("Take accommodation upstairs", "Take accomodation upstairs"),
        ("Stay inside.\nClose windows.", "<p>Stay inside.</p> <p>Close windows.</p>"),
        ("Überflutung", "U\u0308berflutung"),
    ],
)
def test_spelling_case_and_layout_are_no_news(notified: str, said: str) -> None:
    assert reads_alike(words_read(read(notified)), words_read(read(said)))


@pytest.mark.parametrize(
    ("notified", "said"),
    [
        ("GO TO the valley floor", "LEAVE the valley floor"),
        ("Go to the NORTH bank", "Go to the SOUTH bank"),
        ("Do use the bridge", "Do not use the bridge"),
        ("Water 1.5 m high", "Water 15 m high"),
        ("Until 10:30", "Until 16:30"),
        ("Road to Kreuzberg closed", "Road to Kreuzburg closed"),
        ("Remain in the building", "Retain in the building"),
        ("Roads are flooding", "Roads are flooded"),
        ("Evacuate the district", "Evacuated the district"),
        ("Go to the quiet angle", "Go to the quite angel"),
        ("川の東へ避難", "川の西へ避難"),
        ("ابق في المنزل", "اترك المنزل"),
        ("Не выходите из дома", "Выходите из дома"),
    ],
)
def test_number_place_direction_negation_or_verb_is_news(notified: str, said: str) -> None:
    assert not reads_alike(words_read(read(notified)), words_read(read(said)))


def test_guidance_is_read_in_any_field() -> None:
    said = words_read(read("Flood", description="Go to the south bank"))
    assert said == words_read(read("Flood", instruction="Go to the south bank"))
    unread = read("Flood", instruction="Go", description="Thirty streets are under water")
    assert words_read(unread) == ("Flood", "Go")


@pytest.mark.parametrize("nothing", ["N/A", "None", "-----", " "])
def test_placeholder_instruction_is_not_read(nothing: str) -> None:
    """Then messages show the description, and a correction of it is news."""
    notified = read(nothing, instruction=nothing, description="Go to the north bank")
    said = read(nothing, instruction=nothing, description="Go to the south bank")
    assert words_read(notified) == ("Flood", "Go", "to", "the", "north", "bank")
    assert not reads_alike(words_read(notified), words_read(said))
