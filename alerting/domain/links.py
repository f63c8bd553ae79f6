"""Tokens in citizens' links: they name an address without showing it and cannot be made up."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from alerting.errors import NotFound

_ID_BYTES = 8
_TAG_BYTES = 12


def new_key() -> bytes:
    return secrets.token_bytes(32)


class Links:
    """Makes and reads tokens with one key. A token never expires: a mail lives for years."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, address_id: int) -> str:
        """The token of one address: 27 characters safe in a URL."""
        name = address_id.to_bytes(_ID_BYTES, "big")
        return _spelt(name + self._tag(name))

    def address_id(self, token: str) -> int:
        """The address a token names. Raises NotFound for one that we did not make."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        name, tag = raw[:_ID_BYTES], raw[_ID_BYTES:]
        whole = len(raw) == _ID_BYTES + _TAG_BYTES and token == _spelt(raw)
        if not whole or not hmac.compare_digest(tag, self._tag(name)):
            raise NotFound("This link is not valid.", remedy="Use the link as it was sent to you.")
        return int.from_bytes(name, "big")

    def _tag(self, name: bytes) -> bytes:
        return hmac.digest(self._key, b"address" + name, hashlib.sha256)[:_TAG_BYTES]


def _spelt(raw: bytes) -> str:
    """The one spelling of a token: base64 itself would read several as the same bytes."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
