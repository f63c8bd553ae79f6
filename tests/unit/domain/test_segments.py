import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.segments import GSM_BASIC, GSM_EXTENSION, Segments, measure, plain, shorten

LINK = "https://alerts.example.org/a/7f3a?lang=en"
gsm = st.text(st.sampled_from(sorted(GSM_BASIC | GSM_EXTENSION)), max_size=900)
any_text = st.text(max_size=600)
words = st.lists(
    st.text(st.sampled_from("abcdé€ж水😀"), min_size=1, max_size=12), max_size=150
).map(" ".join)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", Segments("GSM-7", 0, 1)),
        ("a" * 160, Segments("GSM-7", 160, 1)),
        ("a" * 161, Segments("GSM-7", 161, 2)),
        ("a" * 306, Segments("GSM-7", 306, 2)),
        ("a" * 307, Segments("GSM-7", 307, 3)),
        ("€" * 80, Segments("GSM-7", 160, 1)),
        # 153 is odd: each segment of pairs holds 76 and leaves one septet empty.
        ("€" * 152, Segments("GSM-7", 304, 2)),
        ("€" * 153, Segments("GSM-7", 306, 3)),
        ("a" * 152 + "{" + "a" * 151, Segments("GSM-7", 305, 2)),
        ("a" * 152 + "{" + "a" * 152, Segments("GSM-7", 306, 3)),
        ("ж" * 70, Segments("UCS-2", 70, 1)),
        ("ж" * 71, Segments("UCS-2", 71, 2)),
        ("ж" * 134, Segments("UCS-2", 134, 2)),
        ("ж" * 135, Segments("UCS-2", 135, 3)),
        ("😀" * 35, Segments("UCS-2", 70, 1)),
        ("😀" * 66, Segments("UCS-2", 132, 2)),
        ("😀" * 67, Segments("UCS-2", 134, 3)),
        ("ç", Segments("UCS-2", 1, 1)),
        ("Çéèùìò\r\n\f", Segments("GSM-7", 10, 1)),
    ],
)
def test_measure_equals_networks(text, segments):
    assert measure(text) == segments


def test_gsm_alphabet_is_complete():
    assert len(GSM_BASIC) == 127  # the 128th is the escape itself
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION


@given(any_text | gsm)
def test_measure_splits_no_pair_and_overfills_no_segment(text):
    found = measure(text)
    pairs = GSM_EXTENSION if found.encoding == "GSM-7" else {c for c in text if ord(c) > 0xFFFF}
    whole, part = (160, 153) if found.encoding == "GSM-7" else (70, 67)
    sizes = [0]
    for c in text:
        width = 2 if c in pairs else 1
        if sizes[-1] + width > part:
            sizes.append(0)
        sizes[-1] += width
    assert found.units == sum(sizes)
    assert found.count == (1 if sum(sizes) <= whole else len(sizes))


@given(any_text, st.characters())
def test_measure_never_falls_with_more_text(text, more):
    assert measure(text + more).count >= measure(text).count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Leave now” — don’t wait…", '"Leave now" - don\'t wait...'),
        ("up to 38\u202f°C", "up to 38\u202fC".replace("\u202f", " ")),
        ("38 °C and 100°F", "38 C and 100F"),
        ("cafe\u0301", "café"),
        ("tab\there\u200b\u00ad", "tab here"),
        ("12 km²", "12 km2"),
        ("Größe à Århus", "Größe à Århus"),
    ],
)
def test_plain_replaces_typography(text, expected):
    assert plain(text) == expected
    assert measure(plain(text)).encoding == "GSM-7"


@pytest.mark.parametrize("text", ["Łódź", "مرحبا می‌روم", "水 😀👩‍🚒", "São Conceição", "turn 90°"])
def test_plain_keeps_letters_scripts_and_emoji(text):
    assert plain(text) == text


@given(any_text)
def test_plain_is_idempotent(text):
    once = plain(text)
    assert plain(once) == once
    if measure(unicodedata.normalize("NFC", text)).encoding == "GSM-7":
        assert measure(once).encoding == "GSM-7"


def test_shorten_keeps_text_that_fits():
    assert shorten("Leave now.", LINK, 1) == "Leave now."


def test_shorten_cuts_at_a_word_in_gsm7():
    text = "Flood warning for Exampleton. Move to high ground at once, and help others. " * 5
    short = shorten(text, LINK, 1)
    assert measure(short) == Segments("GSM-7", measure(short).units, 1)
    kept, tail = short.split("... ")
    assert tail == LINK
    assert text.startswith(kept)
    assert text[len(kept)] in " .,"
    assert measure(short).units > 140


def test_shorten_uses_one_ellipsis_in_ucs2():
    short = shorten("Наводнение в долине. " * 20, LINK, 2)
    assert short.endswith(f"… {LINK}")
    assert measure(short).count == 2


def test_shorten_cuts_between_characters_without_spaces():
    short = shorten("洪水警报" * 60, LINK, 2)
    assert measure(short) == Segments("UCS-2", 134, 2)


@pytest.mark.parametrize("cluster", ["e\u0301\u0302", "👩‍🚒", "👍🏽", "❤️"])
def test_shorten_keeps_clusters_whole(cluster):
    short = shorten("x" * 30 + cluster * 100, "", 2)
    kept = short.removesuffix("…")[30:]
    assert kept == cluster * (len(kept) // len(cluster))


def test_shorten_drops_a_link_without_room():
    long_link = "https://alerts.example.org/" + "x" * 200
    assert shorten("Leave now. " * 30, long_link, 1).startswith("Leave now.")
    assert "https" not in shorten("Leave now. " * 30, long_link, 1)


@given(any_text | gsm | words, st.sampled_from(["", LINK]), st.integers(1, 6))
def test_shorten_always_fits(text, link, segments):
    short = shorten(text, link, segments)
    assert measure(short).count <= segments
    assert bool(short) == bool(text.strip())
    if short != text.strip():
        kept = short.removesuffix(f" {link}" if link else "")
        assert kept.endswith(("...", "…"))
        assert text.strip().startswith(kept.removesuffix("...").removesuffix("…"))


@given(st.lists(st.text(st.sampled_from("abé€ж水😀"), min_size=1, max_size=12), min_size=1))
def test_shorten_wastes_little_room(some):
    text = " ".join(some * 500)
    short = shorten(text, LINK, 3)
    kept = len(short.removesuffix(f" {LINK}").removesuffix("...").removesuffix("…"))
    # The next word, of at most 12 characters, would have been too much.
    longer = text[: kept + 14]
    ending = "..." if measure(longer).encoding == "GSM-7" else "…"
    assert measure(f"{longer}{ending} {LINK}").count > 3
