"""Mails parsed back by the standard library: personal parts never break them or leak."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from quopri import decodestring
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from smtp_script import Mail

from alerting.channels.base import Outgoing, Rendering
from alerting.channels.email.email_build import MailBuilder, MailIdentity, quoted_printable
from alerting.channels.text.texts import LEAVE_MARK, clean, one_line
from alerting.domain.lane import Lane

DATE = format_datetime(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
IDENTITY = MailIdentity(
    mail_from="alerts@agency.example",
    mail_from_name="Example Agency",
    message_domain="agency.example",
    public_url="https://alerts.agency.example",
    list_id="alerts.agency.example",
)


def rendering(**changes: str) -> Rendering:
    base = {"subject": "Flood", "text": f"Water.\n{LEAVE_MARK}\n", "language": "en"}
    return Rendering(**{"channel": "email", **base, **changes})


def outgoing(made: Rendering, **changes: Any) -> Outgoing:
    base = {"delivery_id": 7, "endpoint": "a@example.org", "lane": Lane.ROUTINE, "thread": ""}
    return Outgoing(rendering=made, **{**base, **changes})


def build(message: Outgoing, builder: MailBuilder | None = None) -> Mail:
    builder = builder or MailBuilder(IDENTITY)
    raw = builder.build(message, to=message.endpoint, date=DATE)
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\n." not in raw
    assert max(map(len, raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76
    return Mail("", [], raw, 0)


# What render makes of a sender's text: no control characters, no lone surrogates.
texts = st.text(max_size=400).map(clean)
tokens = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120)


@given(
    subject=st.text(max_size=150).map(one_line),
    before=texts,
    after=texts,
    html=texts,
    token=tokens,
    delivery_id=st.integers(1, 2**63 - 1),
)
def test_build_preserves_any_text_and_token(
    subject: str, before: str, after: str, html: str, token: str, delivery_id: int
) -> None:
    made = rendering(
        subject=subject,
        text=f"{before}\n{LEAVE_MARK}\n{after}",
        html=f'<p>{html}</p><a href="{LEAVE_MARK}">x</a>{after}',
    )
    mail = build(outgoing(made, delivery_id=delivery_id, unsubscribe_token=token))
    link = f"https://alerts.agency.example/u/{quote(token, safe='')}"
    assert mail.parsed["Subject"] == subject
    assert mail.parsed["Message-ID"] == f"<d{delivery_id}@agency.example>"
    assert mail.parsed["List-Unsubscribe"] == f"<{link}>"
    assert mail.text("plain") == made.text.replace(LEAVE_MARK, link).rstrip()
    assert mail.text("html") == made.html.replace(LEAVE_MARK, link).rstrip()
    assert mail.parsed.keys().count("Subject") == 1
    assert mail.parsed.keys().count("To") == 1


@given(st.lists(tokens, min_size=2, max_size=5, unique=True))
def test_build_keeps_citizens_apart(them: list[str]) -> None:
    builder = MailBuilder(IDENTITY)
    made = rendering(html=f'<a href="{LEAVE_MARK}">x</a>')
    for number, token in enumerate(them):
        mail = build(
            outgoing(
                made,
                delivery_id=1000 + number,
                endpoint=f"c{number}@example.org",
                unsubscribe_token=token,
            ),
            builder,
        )
        link = f"https://alerts.agency.example/u/{quote(token, safe='')}"
        assert mail.text("plain").splitlines()[-1] == link
        assert mail.text("html") == f'<a href="{link}">x</a>'
        assert mail.parsed["To"] == f"c{number}@example.org"
        for other in range(len(them)):
            if other != number:
                assert f"c{other}@".encode() not in mail.content
                assert f"<d{1000 + other}@".encode() not in mail.content
        assert LEAVE_MARK.encode() not in mail.content


@pytest.mark.parametrize(
    "script",
    [
        "Повінь у місті",
        "שיטפון בעיר — התרחקו",
        "洪水警報：高い場所へ",
        "فيضان في المدينة",
        "बाढ़ की चेतावनी",
    ],
)
def test_build_preserves_every_script(script: str) -> None:
    long = f"{script} " * 40
    made = rendering(subject=long.strip(), text=f"{long}\n{LEAVE_MARK}\n", html=f"<p>{long}</p>")
    mail = build(outgoing(made))
    assert mail.parsed["Subject"] == long.strip()
    assert mail.text("plain").startswith(long)
    assert mail.text("html") == f"<p>{long}</p>"


def test_build_encodes_the_same_rendering_once() -> None:
    builder = MailBuilder(IDENTITY)
    one = build(outgoing(rendering(), delivery_id=1), builder)
    # Equal, though another object: renderings come from the database anew with every chunk.
    two = build(outgoing(rendering(), delivery_id=2), builder)
    boundary = one.parsed.get_boundary()
    assert boundary == two.parsed.get_boundary()
    for number in range(300):
        build(outgoing(rendering(subject=f"Flood {number}")), builder)
    assert build(outgoing(rendering()), builder).parsed.get_boundary() != boundary


@pytest.mark.parametrize(
    ("lane", "importance"),
    [(Lane.EXTREME, "high"), (Lane.SEVERE, "high"), (Lane.ROUTINE, None), (Lane.DRILL, None)],
)
def test_build_marks_only_severe_lanes_as_important(lane: Lane, importance: str | None) -> None:
    builder = MailBuilder(IDENTITY)
    build(outgoing(rendering(), lane=Lane.ROUTINE), builder)
    assert build(outgoing(rendering(), lane=lane), builder).parsed["Importance"] == importance


def test_references_are_shared_by_versions_of_an_event() -> None:
    def references(thread: str, subject: str) -> str | None:
        return build(outgoing(rendering(subject=subject), thread=thread)).parsed["References"]

    assert references("event-1", "Flood") == references("event-1", "Updated: Flood")
    assert references("event-1", "Flood") != references("event-2", "Flood")
    assert references("", "Flood") is None


def test_build_refuses_header_injection() -> None:
    identity = MailIdentity(
        "a@agency.example", "Agency\r\nBcc: x", "agency.example", "https://x", "l"
    )
    made = rendering(subject="Flood\r\nBcc: x@example.org\u2028X: y", language="en\r\nX: y")
    mail = build(outgoing(made), MailBuilder(identity))
    assert mail.parsed["Subject"] == "Flood Bcc: x@example.org X: y"
    assert mail.parsed["Bcc"] is None
    assert mail.parsed["X"] is None
    assert mail.parsed["Content-Language"] is None
    with pytest.raises(ValueError, match="control character"):
        MailBuilder(identity).build(outgoing(made), to="a@b\r\nX: y", date=DATE)


def test_subject_that_looks_encoded_is_shown_as_it_is() -> None:
    subject = "=?utf-8?q?Not_this?= Flood"
    assert build(outgoing(rendering(subject=subject))).parsed["Subject"] == subject


def test_text_only_rendering_has_one_part() -> None:
    parts = [p.get_content_type() for p in build(outgoing(rendering())).parsed.walk()]
    assert parts == ["multipart/alternative", "text/plain"]


@given(st.text(st.sampled_from(".=a é"), max_size=300).map(clean), st.text("./=a", max_size=200))
def test_no_line_begins_with_a_dot(text: str, token: str) -> None:
    made = rendering(text=f"{text}\n.\n..\n{LEAVE_MARK}\n.{text}")
    mail = build(outgoing(made, unsubscribe_token=token))
    link = f"https://alerts.agency.example/u/{quote(token, safe='')}"
    assert mail.text("plain") == made.text.replace(LEAVE_MARK, link).rstrip()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300))
@example("." * 300)
@example("a" * 75 + "." + "b" * 74 + ".")
def test_inserted_text_is_quoted_printable(text: str) -> None:
    lines = quoted_printable(text).split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.startswith(b".") for line in lines)
    # Between soft breaks, as the builder places it; spaces never end a line of the whole.
    whole = b"=\r\n".join([b"", quoted_printable(text), b"."])
    assert decodestring(whole) == f"{text}.".encode()
