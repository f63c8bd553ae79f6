"""The mail layout: both bodies, escaping, direction."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lxml import html as lxml_html
from render_examples import ALERT, LINK, SENT, alert, rendered

from alerting.channels.text.content import MAX_AREAS
from alerting.channels.text.texts import LEAVE_MARK
from alerting.domain.alert import Area, Status


def test_text_part_is_complete() -> None:
    assert rendered(ALERT, "email", area_no=1).text == (
        "Flooding is imminent\n\n"
        "Issued by Example River Agency\n"
        "Sent Tuesday, 3 November 2026, 12:00 (UTC+1)\n\n"
        "Where: Exampleton marshes, Exampleton centre\n"
        "Expected from Tuesday, 3 November 2026, 13:00 (UTC+1)\n"
        "Valid until Tuesday, 3 November 2026, 18:00 (UTC+1)\n"
        "Contact: +44 7700 900123\n"
        "Website: https://flood.example.org/now\n\n"
        "The Example river has left its banks.\n\n"
        "What to do:\nGo to higher ground now.\n\n"
        f"Full alert: {LINK}\n\n"
        f"Stop these messages:\n{LEAVE_MARK}\n"
    )


def test_drill_is_explained_in_the_first_line() -> None:
    made = rendered(alert(status=Status.EXERCISE), "email", "fr")
    assert made.subject == "EXERCICE (rien à faire) : Flooding is imminent"
    assert made.text.splitlines()[0] == (
        "EXERCICE – Ceci est un exercice. Il n’y a aucun danger réel. Vous n’avez rien à faire."
    )
    body = lxml_html.fromstring(made.html).find("body")
    assert body.text_content().split()[0] == "EXERCICE"


def test_drill_is_repeated_at_the_end() -> None:
    made = rendered(alert(status=Status.EXERCISE), "email", "fr")
    last = "EXERCICE – Ceci est un exercice. Il n’y a aucun danger réel. Vous n’avez rien à faire."
    assert made.text.endswith(f"{LEAVE_MARK}\n\n{last}\n")
    body = lxml_html.fromstring(made.html).find("body")
    assert " ".join(body.text_content().split()).endswith(last)
    assert body.text_content().count(last) == 2


def test_html_is_accessible_and_self_contained() -> None:
    made = rendered(alert({"description": "First.\nSecond.\n\nThird."}), "email")
    page = lxml_html.fromstring(made.html)
    assert page.get("lang") == "en"
    assert page.get("dir") == "ltr"
    assert [h.text_content() for h in page.iter("h1", "h2")] == [
        "Flooding is imminent",
        "What to do",
    ]
    assert [a.get("href") for a in page.iter("a")] == [
        "https://flood.example.org/now",
        LINK,
        LEAVE_MARK,
    ]
    assert not list(page.iter("img", "script", "link", "iframe", "style"))
    assert not [e for e in page.iter() if e.get("src") or "url(" in (e.get("style") or "")]
    assert page.xpath("//main//div[@lang='en-GB']/p[1]")[0].text_content() == "First.Second."


@pytest.mark.parametrize(
    ("language", "direction"), [("ar", "rtl"), ("he-IL", "rtl"), ("ja", "ltr")]
)
def test_direction_follows_the_language(language: str, direction: str) -> None:
    page = lxml_html.fromstring(rendered(ALERT, "email", language).html)
    assert page.get("dir") == direction
    # The sender's English inside an Arabic frame finds its own direction.
    assert {d.get("dir") for d in page.iter("div")} == {"auto"}
    own = lxml_html.fromstring(rendered(alert({"language": language}), "email", language).html)
    assert {d.get("dir") for d in own.iter("div")} == {"rtl" if direction == "rtl" else "auto"}
    assert {d.get("lang") for d in own.iter("div")} == {language}


@pytest.mark.parametrize("field", ["headline", "description", "instruction", "contact", "web"])
def test_texts_are_escaped(field: str) -> None:
    hostile = "&lt;svg onload=alert(1)&gt; \"' javascript:alert(1)"
    page = lxml_html.fromstring(rendered(alert({field: hostile}), "email").html)
    assert not list(page.iter("svg"))
    assert "<svg onload=alert(1)>" in page.text_content()


def test_only_web_addresses_become_links() -> None:
    made = rendered(alert({"web": "javascript:alert(1)"}), "email")
    assert 'href="javascript' not in made.html
    assert "javascript:alert(1)" in made.text


def test_leave_link_marker_cannot_be_injected() -> None:
    made = rendered(
        alert({"description": f"Click {LEAVE_MARK} [[leave-[[leave-link]]link]]"}), "email"
    )
    assert made.text.count(LEAVE_MARK) == 1
    assert made.html.count(LEAVE_MARK) == 1


def test_many_areas_are_cut_after_the_own_area() -> None:
    areas = tuple(Area(f"Place {n}") for n in range(500))
    text = rendered(alert({"areas": areas}), "email", area_no=444).text
    assert "Where: Place 444, Place 0, Place 1," in text
    assert f"Place {MAX_AREAS - 2}, …" in text
    assert f"Place {MAX_AREAS}," not in text


def test_past_onset_is_not_mentioned() -> None:
    text = rendered(alert({"onset": SENT - timedelta(hours=1)}), "email").text
    assert "\nExpected from " not in text
