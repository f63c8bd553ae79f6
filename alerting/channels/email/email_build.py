"""Build a mail once per rendering; make each citizen's own from it by joining bytes.

What differs per citizen (To, Date, Message-ID, leave link) lies in header lines of our own and
between two soft line breaks of the quoted-printable bodies, so no encoder ever sees it and
nothing of one citizen is held in what the next one's mail is made from. Quoted-printable keeps
every line ASCII and short: no relay needs 8BITMIME, and none rewrites the body. A dot that would
begin a line is encoded too, so that none has to be doubled on the way (RFC 5321 §4.5.2).
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr
from hashlib import sha256
from urllib.parse import quote

from alerting.channels.base import Outgoing, Rendering
from alerting.channels.text.texts import LEAVE_MARK
from alerting.domain.lane import Lane
from alerting.domain.language import well_formed

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
#: RFC 2045 §6.7: at most 76 characters, the soft break's `=` among them.
_QP_LINE = 75
_SOFT_BREAK = b"=\r\n"
_DOT = b"=2E"
_QP = tuple(
    bytes([b]) if b in b" \t" or (33 <= b <= 126 and b != ord("=")) else b"=%02X" % b
    for b in range(256)
)
#: Renderings kept; a chunk of citizens shares a handful.
_KEPT = 256


@dataclass(frozen=True, slots=True)
class MailIdentity:
    """Who the mails are from. `message_domain` is the right side of every Message-ID."""

    mail_from: str
    mail_from_name: str
    message_domain: str
    public_url: str
    list_id: str


@dataclass(frozen=True, slots=True)
class _Built:
    """Headers all citizens share, and the body cut where each citizen's leave link goes."""

    headers: bytes
    body: tuple[bytes, ...]


class MailBuilder:
    """Makes complete mails, CRLF line ends, no line with a dot first; keeps what citizens share."""

    def __init__(self, identity: MailIdentity) -> None:
        self._identity = identity
        self._built: OrderedDict[tuple[Rendering, str, bool], _Built] = OrderedDict()

    def build(self, message: Outgoing, *, to: str, date: str) -> bytes:
        """The mail for one citizen.

        to: a bare ASCII (or, for SMTPUTF8, UTF-8) address without anything a header could trip
        over; the caller has checked it. date: as RFC 5322 writes it.
        Raises ValueError for an address or date with a control character.
        """
        if _CONTROLS.search(to) or _CONTROLS.search(date):
            raise ValueError("A header value must not hold a control character.")
        built = self._shared(message)
        who = self._identity
        leave = f"{who.public_url}/u/{quote(message.unsubscribe_token, safe='')}"
        own = (
            f"To: {to}\r\n"
            f"Date: {date}\r\n"
            f"Message-ID: <d{message.delivery_id}@{who.message_domain}>\r\n"
            f"List-Unsubscribe: <{leave}>\r\n"
        )
        return b"".join((own.encode(), built.headers, quoted_printable(leave).join(built.body)))

    def _shared(self, message: Outgoing) -> _Built:
        urgent = message.lane in (Lane.EXTREME, Lane.SEVERE)
        key = (message.rendering, message.thread, urgent)
        built = self._built.get(key)
        if built is None:
            built = self._built[key] = self._make(*key)
            if len(self._built) > _KEPT:
                self._built.popitem(last=False)
        else:
            self._built.move_to_end(key)
        return built

    def _make(self, rendering: Rendering, thread: str, urgent: bool) -> _Built:
        who = self._identity
        boundary = f"=_{secrets.token_hex(16)}"
        headers = [
            f"From: {formataddr((_CONTROLS.sub(' ', who.mail_from_name), who.mail_from))}",
            f"Subject: {_header_text(rendering.subject, 'Subject')}",
            # RFC 8058: a POST to the link above leaves, without a page in between.
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            f"List-Id: <{who.list_id}>",
            # RFC 3834: keeps holiday notices from answering.
            "Auto-Submitted: auto-generated",
        ]
        if thread:
            # No such mail exists; mail programs gather those that name the same one.
            root = sha256(thread.encode("utf-8", "replace")).hexdigest()[:32]
            headers.append(f"References: <t{root}@{who.message_domain}>")
        if well_formed(rendering.language):
            headers.append(f"Content-Language: {rendering.language}")
        if urgent:
            headers.append("Importance: high")
        headers += [
            "MIME-Version: 1.0",
            f'Content-Type: multipart/alternative; boundary="{boundary}"',
        ]
        parts = [_part(boundary, "plain", rendering.text)]
        if rendering.html:
            parts.append(_part(boundary, "html", rendering.html))
        body = b"\r\n" + b"".join(parts) + f"--{boundary}--\r\n".encode()
        pieces = tuple(body.split(LEAVE_MARK.encode()))
        return _Built("".join(h + "\r\n" for h in headers).encode("ascii"), pieces)


def quoted_printable(line: str) -> bytes:
    """One line of text, without its end, folded at 75 characters (RFC 2045 §6.7), none of them
    a dot that begins a line.

    It may also stand between two soft breaks, which is how a citizen's own part is put in.
    """
    if line.isascii() and line.isprintable() and "=" not in line:
        encoded = line.encode()  # each citizen's own link as a rule: nothing to look up
    else:
        encoded = b"".join(map(_QP.__getitem__, line.encode("utf-8", "replace")))
    if encoded.endswith((b" ", b"\t")):  # relays strip blanks at a line's end
        encoded = encoded[:-1] + b"=%02X" % encoded[-1]
    if len(encoded) <= _QP_LINE and not encoded.startswith(b"."):
        return encoded
    lines, start = [], 0
    while start < len(encoded):
        first = b""
        if encoded.startswith(b".", start):
            first, start = _DOT, start + 1
        end = start + _QP_LINE - len(first)
        # An escape must not be torn over two lines.
        cut = encoded.rfind(b"=", end - 2, end)
        end = cut if cut > start else end
        lines.append(first + encoded[start:end])
        start = end
    return _SOFT_BREAK.join(lines)


def _part(boundary: str, subtype: str, text: str) -> bytes:
    head = (
        f"--{boundary}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    encoded = [
        b"\r\n".join(map(quoted_printable, piece.split("\n"))) for piece in text.split(LEAVE_MARK)
    ]
    # The mark stands on a line of its own between soft breaks, which vanish on reading.
    mark = _SOFT_BREAK + LEAVE_MARK.encode() + _SOFT_BREAK
    return head.encode() + mark.join(encoded) + b"\r\n"


def _header_text(text: str, name: str) -> str:
    """RFC 2047, folded. Text that only looks like an encoded word is encoded, so it stays text."""
    text = " ".join(_CONTROLS.sub(" ", text).split())
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return Header(text, charset, header_name=name, maxlinelen=76).encode(linesep="\r\n")
