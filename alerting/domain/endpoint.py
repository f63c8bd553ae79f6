"""Endpoints: when two spellings are one."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata

_URL = re.compile(r"(https?)://([^/?#@]+)([^#]*)(?:#.*)?", re.I | re.S)
_USUAL_PORTS = {"https": ":443", "http": ":80"}


def normal_form(channel: str, endpoint: str) -> str:
    """The one form of all spellings of an endpoint.

    Mail servers ignore the case of a mailbox, whatever RFC 5321 allows them. Of the address of a
    push subscription the case of scheme and host, the usual port, an empty path and a fragment
    make no difference (RFC 3986, 6.2), and nothing else does not. A phone number in E.164 has one
    spelling.
    """
    plain = endpoint.strip()
    if channel == "push":
        return _push(plain)
    if channel != "email":
        return plain
    name, at, domain = unicodedata.normalize("NFC", plain).casefold().rpartition("@")
    return unicodedata.normalize("NFC", name) + at + _ascii(domain)


def _push(url: str) -> str:
    parts = _URL.fullmatch(url)
    if parts is None:
        return url
    scheme, server, rest = parts[1].lower(), parts[2].lower(), parts[3]
    server = server.removesuffix(_USUAL_PORTS[scheme]).removesuffix(":")
    return f"{scheme}://{server}{'' if rest.startswith('/') else '/'}{rest}"


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def endpoint_key(secret: bytes, channel: str, endpoint: str) -> bytes:
    """A keyed hash in place of an endpoint where nobody may read it: 32 bytes, the same for
    every spelling."""
    return hmac.digest(
        secret, f"{channel}\0{normal_form(channel, endpoint)}".encode(), hashlib.sha256
    )
