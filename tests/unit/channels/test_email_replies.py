"""The table of SMTP replies, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.channels.base import (
    DEAD_ADDRESS,
    ERROR_CLASSES,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    UNREACHABLE,
    ErrorClass,
)
from alerting.channels.email.smtp_replies import Stage, classify, provider_code

C, A, M, R, D, B = Stage


@pytest.mark.parametrize(
    ("stage", "reply", "text", "error"),
    [
        (A, 535, "5.7.8 Bad credentials", OUR_FAULT),
        (A, 454, "4.7.0 Temporary authentication failure", PROVIDER_DOWN),
        (A, 530, "5.7.0 Must issue STARTTLS", OUR_FAULT),
        (C, 521, "No mail here", OUR_FAULT),
        (C, 421, "Service not available", PROVIDER_DOWN),
        (M, 530, "5.7.0 Authentication required", OUR_FAULT),
        (M, 550, "5.7.60 Not allowed to send as", OUR_FAULT),
        (M, 550, "5.3.2 Not accepting", PROVIDER_DOWN),
        (M, 452, "4.5.3 Too many", THROTTLED),
        (R, 550, "5.1.10 Null MX", DEAD_ADDRESS),
        (R, 550, "5.1.2 Unknown domain", DEAD_ADDRESS),
        (R, 501, "5.1.3 Bad address", DEAD_ADDRESS),
        (R, 550, "5.1.8 Sender domain not found", OUR_FAULT),
        (R, 550, "5.2.1 Disabled", DEAD_ADDRESS),
        (R, 550, "5.2.2 Over quota", UNREACHABLE),
        (R, 552, "Mailbox full", UNREACHABLE),
        (R, 452, "4.2.2 Full", UNREACHABLE),
        (R, 450, "Busy", UNREACHABLE),
        (R, 450, "4.7.1 Grey", THROTTLED),
        (R, 550, "5.4.1 Access denied", UNREACHABLE),
        (R, 551, "Not local", DEAD_ADDRESS),
        (R, 553, "5.6.7 SMTPUTF8", UNREACHABLE),
        (R, 554, "5.7.1 Relay access denied", OUR_FAULT),
        (R, 554, "Relay access denied", OUR_FAULT),
        (R, 556, "No mail", DEAD_ADDRESS),
        (R, 550, "4.1.1 contradicts itself", DEAD_ADDRESS),
        (R, 503, "5.5.1 Bad order", OUR_FAULT),
        (R, 451, "4.4.1 No answer from host", PROVIDER_DOWN),
        (B, 550, "Rejected", REFUSED_CONTENT),
        (B, 554, "5.6.0 Bad MIME", REFUSED_CONTENT),
        (B, 550, "5.1.1 Unknown", DEAD_ADDRESS),
        (B, 552, "5.2.2 Full", UNREACHABLE),
        (B, 552, "5.2.3 Too long", REFUSED_CONTENT),
        (B, 554, "5.7.23 SPF", OUR_FAULT),
        (B, 452, "4.3.1 Storage", PROVIDER_DOWN),
        (R, -1, "Malformed SMTP response line: x", PROVIDER_DOWN),
        (R, 354, "what", PROVIDER_DOWN),
    ],
)
def test_classify_each_reply(stage: Stage, reply: int, text: str, error: ErrorClass) -> None:
    assert classify(stage, reply, text) is error


@given(
    st.sampled_from(Stage),
    st.integers(400, 499),
    st.from_regex(r"(4\.\d{1,3}\.\d{1,3})? ?[a-z]*", fullmatch=True),
)
def test_classify_temporary_reply_as_retryable(stage: Stage, reply: int, text: str) -> None:
    assert classify(stage, reply, text).retryable


@given(st.sampled_from(Stage), st.integers(-1, 999), st.text(max_size=60))
def test_classify_any_reply(stage: Stage, reply: int, text: str) -> None:
    error = classify(stage, reply, text)
    assert ERROR_CLASSES[error.code] is error
    # Only what speaks of an address may cost a citizen theirs.
    assert not error.suspend or stage in (R, D, B)


@given(st.sampled_from(Stage), st.integers(500, 599), st.integers(0, 99))
def test_classify_never_suspends_for_policy_against_us(
    stage: Stage, reply: int, detail: int
) -> None:
    assert not classify(stage, reply, f"5.7.{detail} no").suspend


def test_provider_code_keeps_codes_without_words() -> None:
    assert provider_code(550, "5.1.1 <citizen@example.org> unknown") == "550 5.1.1"
    assert provider_code(550, "<citizen@example.org> unknown") == "550"
