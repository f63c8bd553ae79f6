"""Read what mail servers send back (RFC 3464) as a report about one delivery.

Which delivery, the return address says (`verp`); here is only what became of it. A bounce is
written by whoever runs the last server on the way, so it is read with care: only an explicit code
about the address itself can cost a citizen that address, and what is no report says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message

from alerting.channels.base import UNREACHABLE, ErrorClass
from alerting.channels.email import smtp_replies
from alerting.channels.email.smtp_replies import Stage
from alerting.domain.delivery import DeliveryState

#: Reports quote the mail they are about; what is larger is read no further.
MAX_BYTES = 1_000_000

#: What a mail is called that says nothing of its delivery: an answer, a holiday notice, spam.
NO_REPORT = "no-report"

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", re.ASCII)
_DIAGNOSIS = re.compile(
    r"\s*smtp\s*;\s*(?:<[^>]*>[ :]*)?([245]\d\d)(?:[ -]+([245]\.\d{1,3}\.\d{1,3})\b)?",
    re.ASCII | re.I,
)
#: An address may have been forwarded to several; one that was reached is enough.
_ORDER = ("delivered", "failed", "delayed", "relayed", "expanded")
#: qmail's own form (QSBMF), whose text has no codes a program could trust.
_QMAIL = re.compile(rb"Hi\. This is the qmail-send program")

_STATES = {"failed": DeliveryState.FAILED, "delivered": DeliveryState.DELIVERED}


@dataclass(frozen=True, slots=True)
class Bounce:
    """status: an action of RFC 3464 in lower case, or NO_REPORT. code: `550 5.1.1`, `5.4.4` or
    ""; never text, which may name people."""

    status: str
    code: str = ""


def read(raw: bytes) -> Bounce:
    """What a mail to a return address of ours reports. Never raises: it comes from anywhere."""
    try:
        mail = message_from_bytes(raw[:MAX_BYTES])
        return _standard(mail) or _other(mail, raw) or Bounce(NO_REPORT)
    except Exception:  # the standard library's parser has surprises for every kind of garbage
        return Bounce(NO_REPORT)


def report_state(status: str) -> DeliveryState | None:
    """The state a report's action proves; None for one that leaves it open."""
    return _STATES.get(status)


def classify(code: str) -> ErrorClass:
    """Class a bounce's code as it is kept in a receipt.

    Only a permanent code about the address itself suspends it. A reply without an enhanced code,
    or with one of a kind unknown, may be about anything. So may 5.1.0; and 5.1.2 (no such domain)
    comes from broken name servers too.
    """
    enhanced = code.split(" ")[-1]
    if not re.fullmatch(r"5\.[1-7]\.\d{1,3}", enhanced) or enhanced in {"5.1.0", "5.1.2"}:
        return UNREACHABLE
    return smtp_replies.classify(Stage.RCPT, 550, enhanced)


def _standard(mail: Message) -> Bounce | None:
    """The report of a DSN; None where there is none."""
    found: dict[str, Bounce] = {}
    for recipient in _recipients(mail):
        action = str(recipient["Action"]).split("(")[0].strip().lower()
        if action in _ORDER:
            found.setdefault(action, Bounce(action, _code(recipient)))
    return next((found[a] for a in _ORDER if a in found), None)


def _recipients(mail: Message) -> Iterator[Message]:
    """The fields of each recipient of each delivery report in the mail, but not in what it
    quotes."""
    if mail.get_content_type() == "message/delivery-status":
        blocks = mail.get_payload()
        if isinstance(blocks, list):
            yield from (b for b in blocks if isinstance(b, Message) and b["Action"])
    elif mail.get_content_type() in {"multipart/report", "multipart/mixed"}:
        parts = mail.get_payload()
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, Message):
                    yield from _recipients(part)


def _code(recipient: Message) -> str:
    """The last server's own reply, and the enhanced code that says more."""
    status = _ENHANCED.match(str(recipient["Status"] or ""))
    diagnosis = _DIAGNOSIS.match(str(recipient["Diagnostic-Code"] or ""))
    enhanced = status[1] if status else ""
    reply = diagnosis[1] if diagnosis else ""
    said = (diagnosis[2] or "") if diagnosis else ""
    vague = not enhanced or enhanced.endswith(".0.0")
    if said and vague and said[:1] == (enhanced[:1] or said[:1]):
        enhanced = said
    if enhanced and reply[:1] != enhanced[:1]:
        # "550" beside "4.2.2" contradicts itself: what is left is what the report was made for.
        reply = ""
    return f"{reply} {enhanced}".strip()


def _other(mail: Message, raw: bytes) -> Bounce | None:
    """Bounces in the forms of Exim and qmail, which have no code: failed, and no more is known.

    Exim calls its bounces `auto-replied` as holiday notices do, but names who failed.
    """
    if mail["X-Failed-Recipients"]:
        return Bounce("failed")
    answer = str(mail["Auto-Submitted"] or "").strip().lower().startswith("auto-")
    return Bounce("failed") if not answer and _QMAIL.search(raw[:10_000]) else None
