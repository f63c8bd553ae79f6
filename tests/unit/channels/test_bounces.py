"""What comes back to a return address, in the forms mail servers write, and what it may cost."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.channels import reports
from alerting.channels.base import DEAD_ADDRESS, OUR_FAULT, UNREACHABLE
from alerting.channels.email.bounce_report import MAX_BYTES, NO_REPORT, Bounce, classify, read
from alerting.channels.email.verp import Verp
from alerting.domain.delivery import DeliveryState

KEY = b"k" * 32
DOMAIN = "bounce.example.org"


def dsn(
    *recipients: str,
    kind: str = "multipart/report; report-type=delivery-status",
    extra: str = "",
    quoted: str = "",
) -> bytes:
    """A report as Postfix writes it; each recipient is its block of fields."""
    blocks = "\n\n".join(recipients)
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
To: b+1@bounce.example.org
Subject: Undelivered Mail Returned to Sender
{extra}MIME-Version: 1.0
Content-Type: {kind}; boundary="==B"

--==B
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--==B
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org
Arrival-Date: Sun,  1 Mar 2026 12:00:00 +0000

{blocks}

--==B
Content-Type: message/rfc822

Subject: Flood warning
Message-ID: <d1@example.org>
{quoted}
Move to high ground.

--==B--
""".replace("\n", "\r\n").encode()


def fields(action: str = "failed", status: str = "5.1.1", diagnosis: str = "") -> str:
    said = f"\nDiagnostic-Code: {diagnosis}" if diagnosis else ""
    return f"Final-Recipient: rfc822; c1@example.org\nAction: {action}\nStatus: {status}{said}"


@pytest.mark.parametrize(
    ("block", "bounce"),
    [
        # Postfix
        (
            fields(diagnosis="smtp; 550 5.1.1 <c1@example.org>: Recipient address rejected:\n"
                   "    User unknown in virtual mailbox table"),
            Bounce("failed", "550 5.1.1"),
        ),
        (fields("delayed", "4.4.1", "x-postfix; connect to mx.example.org: timed out"),
         Bounce("delayed", "4.4.1")),
        (fields("failed", "4.4.7 (delivery time expired)"), Bounce("failed", "4.4.7")),
        (fields("relayed", "2.0.0"), Bounce("relayed", "2.0.0")),
        (fields("expanded", "2.0.0"), Bounce("expanded", "2.0.0")),
        (fields("delivered (to mailbox)", "2.1.5"), Bounce("delivered", "2.1.5")),
        # Microsoft: the status is vague, the last server's words are not
        (fields("failed", "5.0.0", "smtp;550 5.4.1 Recipient address rejected: Access denied."),
         Bounce("failed", "550 5.4.1")),
        # Google: a reply of several lines
        (fields("failed", "5.1.1", "smtp; 550-5.1.1 The email account that you tried to reach\n"
                " does not exist."), Bounce("failed", "550 5.1.1")),
        # Exim: no enhanced code in the reply
        (fields("failed", "5.0.0", "smtp; 550 No such person"), Bounce("failed", "550 5.0.0")),
        # Contradicting itself
        (fields("failed", "4.2.2", "smtp; 550 mailbox full"), Bounce("failed", "4.2.2")),
        (fields("failed", "", "smtp; 550 5.1.1 unknown"), Bounce("failed", "550 5.1.1")),
        (fields("failed", "five"), Bounce("failed", "")),
        ("Action: FAILED\nStatus: 5.1.1", Bounce("failed", "5.1.1")),
    ],
)  # fmt: skip
def test_dsn_is_read(block: str, bounce: Bounce) -> None:
    assert read(dsn(block)) == bounce


def test_dsn_of_many_recipients_counts_any_success() -> None:
    assert read(dsn(fields(), fields("delivered", "2.0.0"))).status == "delivered"
    assert read(dsn(fields("delayed", "4.4.1"), fields())) == Bounce("failed", "5.1.1")


def test_dsn_without_report_type_is_found_by_its_part() -> None:
    assert read(dsn(fields(), kind="multipart/mixed")) == Bounce("failed", "5.1.1")


def test_dsn_inside_a_quoted_mail_is_ignored() -> None:
    inner = dsn(fields())
    answer = (
        b"Subject: What is this?\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: text/plain\r\n\r\nI got this\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--x--\r\n"
    )
    assert read(answer) == Bounce(NO_REPORT)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Auto-Submitted: auto-replied (vacation)", "I am away until Monday."),
        ("Auto-Submitted: auto-replied", "Hi. This is the qmail-send program, on holiday."),
        ("X-Autoreply: yes", "Out of office: address unknown until Monday. 550 5.1.1"),
        ("Subject: Re: Flood warning", "Thank you! User unknown to me."),
        ("Content-Type: multipart/report; report-type=disposition-notification; boundary=x",
         "--x\n\nread\n--x\nContent-Type: message/disposition-notification\n\n"
         "Disposition: automatic-action; displayed\n--x--"),
        ("Content-Type: multipart/report; report-type=feedback-report; boundary=x",
         "--x\n\nspam\n--x\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n--x--"),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", "--x--"),
        ("", ""),
    ],
)  # fmt: skip
def test_mail_without_report_is_ignored(head: str, body: str) -> None:
    bounce = read(f"{head}\n\n{body}\n".encode())
    assert bounce == Bounce(NO_REPORT)
    assert reports.read("email", bounce.status, bounce.code) is None


@pytest.mark.parametrize(
    "mail",
    [
        b"From: Mail Delivery System <Mailer-Daemon@mx.example.org>\r\n"
        b"Auto-Submitted: auto-replied\r\nX-Failed-Recipients: c1@example.org\r\n\r\n"
        b"A message that you sent could not be delivered: 550 5.1.1 unknown\r\n",
        b"From: MAILER-DAEMON@mx.example.org\r\nSubject: failure notice\r\n\r\n"
        b"Hi. This is the qmail-send program at mx.example.org.\r\n"
        b"I'm afraid I wasn't able to deliver your message.\r\n\r\n<c1@example.org>:\r\n"
        b"Sorry, no mailbox here by that name. (#5.1.1)\r\n",
    ],
)
def test_older_formats_fail_the_delivery_but_keep_the_address(mail: bytes) -> None:
    bounce = read(mail)
    assert bounce == Bounce("failed")
    assert reports.read("email", bounce.status, bounce.code) == reports.Report(DeliveryState.FAILED)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("550 5.1.1", DEAD_ADDRESS),
        ("5.1.1", DEAD_ADDRESS),
        ("5.1.10", DEAD_ADDRESS),
        ("5.2.1", DEAD_ADDRESS),
        ("550 5.7.1", OUR_FAULT),
        ("5.7.26", OUR_FAULT),
        ("5.1.8", OUR_FAULT),
        ("5.1.0", UNREACHABLE),
        ("5.1.2", UNREACHABLE),
        ("5.2.2", UNREACHABLE),
        ("5.4.4", UNREACHABLE),
        ("550 5.0.0", UNREACHABLE),
        ("5.9.9", UNREACHABLE),
        ("550", UNREACHABLE),
        ("4.1.1", UNREACHABLE),
        ("4.4.7", UNREACHABLE),
        ("", UNREACHABLE),
        ("nonsense", UNREACHABLE),
    ],
)
def test_classify_suspends_only_for_the_address_itself(code: str, error: object) -> None:
    assert classify(code) is error


@given(code=st.from_regex(r"([45]\d\d )?[245]\.\d{1,3}\.\d{1,3}", fullmatch=True))
def test_classify_never_suspends_for_policy_or_temporary(code: str) -> None:
    kind, subject, _ = code.split(" ")[-1].split(".")
    if kind != "5" or subject not in ("1", "2"):
        assert not classify(code).suspend


@given(
    mail=st.binary(max_size=400) | st.text(max_size=400).map(lambda t: t.encode("utf-8", "replace"))
)
def test_garbage_is_not_a_report(mail: bytes) -> None:
    bounce = read(mail)
    assert bounce.status == NO_REPORT or b"qmail" in mail or b"failed" in mail.lower()


@given(at=st.integers(0, len(dsn(fields()))), junk=st.binary(max_size=30))
def test_damaged_report_is_survived(at: int, junk: bytes) -> None:
    whole = dsn(fields(diagnosis="smtp; 550 5.1.1 unknown"))
    for mail in (whole[:at], whole[:at] + junk + whole[at:]):
        bounce = read(mail)
        assert bounce.status in {NO_REPORT, "failed"}
        assert len(bounce.code) < 20


def test_deep_and_large_mails_are_survived() -> None:
    deep = b""
    for n in range(3000):
        deep += b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n)
    assert read(deep) == Bounce(NO_REPORT)
    large = dsn(fields(), quoted="X" * (2 * MAX_BYTES))
    assert read(large) == Bounce("failed", "5.1.1")


def test_verp_address_names_only_its_delivery() -> None:
    verp = Verp(KEY, DOMAIN)
    address = verp.address(4711)
    assert address.endswith(f"@{DOMAIN}")
    assert len(verp.address(2**63 - 1).partition("@")[0]) <= 64
    assert message_from_bytes(f"Return-Path: <{address}>\n\n".encode())["Return-Path"]
    assert verp.delivery_id(address) == 4711
    assert verp.delivery_id(address.upper()) == 4711
    local, _, _ = address.partition("@")
    for forged in (
        f"b+4711@{DOMAIN}",
        address.replace("4711", "4712"),
        address.replace("4711", "04711"),
        address.replace("4711", "٤٧١١"),
        f"{local}@other.example.org",
        f"{local}x@{DOMAIN}",
        f"x{address}",
        "",
        "@",
    ):
        assert verp.delivery_id(forged) is None, forged
    assert Verp(b"o" * 32, DOMAIN).delivery_id(address) is None


@given(st.binary(max_size=100), st.integers(1, 2**63 - 1))
def test_verp_tag_is_hmac_in_base32(key: bytes, delivery_id: int) -> None:
    # Addresses are out there for days: one made by another version has to be known again.
    said = b"bounce" + delivery_id.to_bytes(8, "big")
    tag = base64.b32encode(hmac.digest(key, said, hashlib.sha256)[:10]).decode().lower()
    address = f"b+{delivery_id}.{tag}@{DOMAIN}"
    assert Verp(key, DOMAIN).address(delivery_id) == address
    assert Verp(key, DOMAIN).delivery_id(address) == delivery_id
