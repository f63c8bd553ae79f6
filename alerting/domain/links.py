"""Tokens and codes in citizens' links: they identify something and cannot be guessed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID

from alerting.errors import NotFound

_ADDRESS_BYTES = 8
_ALERT_BYTES = 16
_TAG_BYTES = 12

#: Base 58: no letter or digit that is mistaken for another when it is typed.
_CODE_LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CODE_LENGTH = 8
#: The form of a code, as a regular expression.
CODE = f"[{_CODE_LETTERS}]{{{_CODE_LENGTH}}}"


class Purpose(StrEnum):
    """What a link does. The value is part of what is signed and never changes."""

    #: Stop the messages of real alerts to one address. The name comes from mails sent before there
    #: were other purposes.
    LEAVE = "address"
    #: Leave drills only.
    DRILL = "drill"
    #: Show one alert, public or not.
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Leaving:
    """The content of an unsubscribe link: what it unsubscribes from, and the address it was sent
    to."""

    purpose: Purpose
    address_id: int


def new_code() -> str:
    """A random code for one alert in a short link: one of 1.28e14."""
    return "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))


def new_key() -> bytes:
    return secrets.token_bytes(32)


class Links:
    """Makes and reads tokens with one key. A token never expires: a mail is kept for years.

    Reading raises NotFound for a token that was not made here for that purpose.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, address_id: int, purpose: Purpose = Purpose.LEAVE) -> str:
        """The unsubscribe token of one address: 27 characters, safe in a URL."""
        return self._made(purpose, address_id.to_bytes(_ADDRESS_BYTES, "big"))

    def leaving(self, token: str, *purposes: Literal[Purpose.LEAVE, Purpose.DRILL]) -> Leaving:
        """The content of an unsubscribe token.

        Args:
            purposes: Those accepted; empty for any.
        """
        wanted = purposes or (Purpose.LEAVE, Purpose.DRILL)
        purpose, name = self._read(token, wanted, _ADDRESS_BYTES)
        return Leaving(purpose, int.from_bytes(name, "big"))

    def page(self, alert_id: UUID) -> str:
        """The token of one alert's own page: 38 characters safe in a URL."""
        return self._made(Purpose.PAGE, alert_id.bytes)

    def alert_id(self, token: str) -> UUID:
        """The alert that a page token names."""
        _, name = self._read(token, (Purpose.PAGE,), _ALERT_BYTES)
        return UUID(bytes=name)

    def _made(self, purpose: Purpose, name: bytes) -> str:
        return _spelt(name + self._tag(purpose, name))

    def _read(self, token: str, purposes: Iterable[Purpose], length: int) -> tuple[Purpose, bytes]:
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        name, tag = raw[:length], raw[length:]
        if len(raw) == length + _TAG_BYTES and token == _spelt(raw):
            for purpose in purposes:
                if hmac.compare_digest(tag, self._tag(purpose, name)):
                    return purpose, name
        raise NotFound("This link is not valid.", remedy="Use the link as it was sent to you.")

    def _tag(self, purpose: Purpose, name: bytes) -> bytes:
        return hmac.digest(self._key, purpose.encode() + name, hashlib.sha256)[:_TAG_BYTES]


def _spelt(raw: bytes) -> str:
    """The only valid spelling of a token: base64 itself would decode several to the same bytes."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
