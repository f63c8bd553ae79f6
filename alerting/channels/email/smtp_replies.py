"""What an SMTP server's reply means for a delivery, as a table.

Sources: RFC 5321 §4.2 (reply codes), RFC 3463 and its registry (enhanced codes X.Y.Z), RFC 4954
§6 (authentication), RFC 7504 (521, 556). Where a reply may or may not speak of the citizen's
address, the milder reading holds: a suspended address is a citizen nobody warns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from alerting.channels.base import (
    DEAD_ADDRESS,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    UNREACHABLE,
    ErrorClass,
)


class Stage(StrEnum):
    """Where in the conversation the reply came."""

    CONNECT = "connect"  # greeting, EHLO, STARTTLS
    AUTH = "auth"
    MAIL = "mail"  # our envelope sender
    RCPT = "rcpt"  # the citizen's address
    DATA = "data"  # asking to send the text
    BODY = "body"  # after the final dot


@dataclass(frozen=True, slots=True)
class _Row:
    """`stages` empty: any. `reply` and `enhanced` are prefixes; an empty one matches all."""

    stages: tuple[Stage, ...]
    reply: str
    enhanced: str
    error: ErrorClass


_C, _A, _M, _R, _D, _B = Stage

#: First match wins.
_TABLE = (
    # Not now
    _Row((_A,), "4", "", PROVIDER_DOWN),  # 454 4.7.0: the server cannot check passwords now
    _Row((), "4", "4.7", THROTTLED),  # policy: too fast, too many, grey-listed
    _Row((), "4", "4.5.3", THROTTLED),  # too many recipients in this session
    _Row((_R, _B), "4", "4.1", UNREACHABLE),
    _Row((_R, _B), "4", "4.2", UNREACHABLE),  # 4.2.2: mailbox full for now
    _Row((), "4", "4.", PROVIDER_DOWN),  # 4.3 system, 4.4 network, 4.5 protocol
    _Row((_R,), "450", "", UNREACHABLE),  # mailbox busy
    _Row((), "4", "", PROVIDER_DOWN),
    # Never, before any address was named
    _Row((_C, _A), "5", "", OUR_FAULT),  # 554 greeting, 521, 530, 535, 538
    _Row((_M,), "552", "", REFUSED_CONTENT),  # larger than the server's SIZE
    _Row((_M,), "5", "5.3.4", REFUSED_CONTENT),
    _Row((_M,), "5", "5.3", PROVIDER_DOWN),
    _Row((_M,), "5", "", OUR_FAULT),
    # Never, because of the text
    _Row((_D, _B), "5", "5.7.2", OUR_FAULT),  # 5.7.20 to 5.7.29: our DKIM, SPF, DMARC, rDNS
    _Row((_D,), "5", "5.7", OUR_FAULT),
    _Row((_D,), "503", "", OUR_FAULT),
    _Row((_D, _B), "5", "5.5", OUR_FAULT),  # we broke the protocol
    _Row((_D, _B), "5", "5.1.7", OUR_FAULT),
    _Row((_D, _B), "5", "5.1.8", OUR_FAULT),
    _Row((_D, _B), "5", "5.1", DEAD_ADDRESS),
    _Row((_D, _B), "5", "5.2.3", REFUSED_CONTENT),
    _Row((_D, _B), "5", "5.2", UNREACHABLE),
    _Row((_D, _B), "5", "5.3.4", REFUSED_CONTENT),
    _Row((_D, _B), "5", "5.3", PROVIDER_DOWN),
    _Row((_D, _B), "5", "5.4", UNREACHABLE),
    _Row((_D, _B), "5", "", REFUSED_CONTENT),  # 552, 554, 550 5.7.1 from a content filter
    # Never, or so it says, because of the address
    _Row((_R,), "5", "5.7", OUR_FAULT),  # policy against us; the citizen's address is fine
    _Row((_R,), "5", "5.1.7", OUR_FAULT),  # our sender address
    _Row((_R,), "5", "5.1.8", OUR_FAULT),
    _Row((_R,), "5", "5.1", DEAD_ADDRESS),
    _Row((_R,), "5", "5.2.1", DEAD_ADDRESS),  # mailbox disabled
    _Row((_R,), "5", "5.2.3", REFUSED_CONTENT),
    _Row((_R,), "5", "5.2", UNREACHABLE),  # 5.2.2: mailbox full
    _Row((_R,), "5", "5.3.4", REFUSED_CONTENT),
    _Row((_R,), "5", "5.3", PROVIDER_DOWN),
    # Routing. Some hosts say 5.4.1 for unknown people, others while their DNS is broken.
    _Row((_R,), "5", "5.4", UNREACHABLE),
    _Row((_R,), "5", "5.5", OUR_FAULT),
    _Row((_R,), "5", "5.6", UNREACHABLE),  # 5.6.7: needs SMTPUTF8 further on
    _Row((_R,), "552", "", UNREACHABLE),
    _Row((_R,), "550", "", DEAD_ADDRESS),
    _Row((_R,), "551", "", DEAD_ADDRESS),
    _Row((_R,), "553", "", DEAD_ADDRESS),
    _Row((_R,), "556", "", DEAD_ADDRESS),  # the domain accepts no mail at all
    _Row((_R,), "5", "", OUR_FAULT),  # 500-504, 530, 554 "relay access denied"
)

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


def enhanced_code(text: str) -> str:
    """The enhanced status code a reply's text begins with, else ""."""
    found = _ENHANCED.match(text)
    return found[1] if found else ""


def classify(stage: Stage, reply: int, text: str) -> ErrorClass:
    """The class of a reply that was not the one asked for. A reply that is none (a number out of
    order, no number at all) means a server that is not well."""
    code, enhanced = str(reply), enhanced_code(text)
    # A code whose class contradicts the reply's is noise ("550 4.1.1").
    if enhanced[:1] != code[:1]:
        enhanced = ""
    for row in _TABLE:
        if (
            (not row.stages or stage in row.stages)
            and code.startswith(row.reply)
            and enhanced.startswith(row.enhanced)
        ):
            return row.error
    return PROVIDER_DOWN


def provider_code(reply: int, text: str) -> str:
    """The reply as the ledger keeps it: `550 5.1.1`. Never the text, which may name people."""
    return f"{reply} {enhanced_code(text)}".strip()
