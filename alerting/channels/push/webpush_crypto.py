"""Encrypt one Web Push message for one subscription.

Source: RFC 8291 (key agreement) over RFC 8188 (content coding aes128gcm, a single record).
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode
from hmac import digest

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_SIZE = 4096
#: A push service need not take more than 4,096 octets (RFC 8030 §7.2): header, delimiter and tag
#: leave this much for the text.
MAX_PLAINTEXT_BYTES = RECORD_SIZE - (16 + 4 + 1 + 65) - 1 - 16

_CURVE = ec.SECP256R1()
_ECDH = ec.ECDH()
_POINT_BYTES = 65
_SECRET_BYTES = 16
#: What stands between the salt and our key (RFC 8188 §2.1).
_HEAD = RECORD_SIZE.to_bytes(4, "big") + bytes([_POINT_BYTES])


class BadKeys(ValueError):
    """The subscription's keys are no keys; no message can ever be encrypted for it."""


def unbase64url(text: str) -> bytes:
    """Decode base64url with or without padding. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encrypt(plaintext: bytes, p256dh: str, auth: str) -> bytes:
    """Return the whole body of the push request, with a fresh key and salt for every call.

    p256dh, auth: the subscription's keys in base64url. Raises BadKeys where they are none, and
    ValueError for a plaintext over MAX_PLAINTEXT_BYTES.
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise ValueError(f"{len(plaintext)} bytes do not fit in one push message.")
    try:
        their_public = unbase64url(p256dh)
        secret = unbase64url(auth)
        their_key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, their_public)
    except ValueError:
        raise BadKeys("The push subscription's keys cannot be read.") from None
    if len(secret) != _SECRET_BYTES or len(their_public) != _POINT_BYTES:
        raise BadKeys("The push subscription's keys have the wrong length.")

    # RFC 8291 §3.1: a new key pair for each message, or the messages can be linked.
    our_key = ec.generate_private_key(_CURVE)
    our_public = our_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    salt = os.urandom(16)
    # HKDF (RFC 5869) written out: every output here is one HMAC block, hence the lone \x01.
    shared = digest(secret, our_key.exchange(_ECDH, their_key), "sha256")
    info = b"WebPush: info\x00" + their_public + our_public
    master = digest(salt, digest(shared, info + b"\x01", "sha256"), "sha256")
    content_key = digest(master, b"Content-Encoding: aes128gcm\x00\x01", "sha256")[:16]
    nonce = digest(master, b"Content-Encoding: nonce\x00\x01", "sha256")[:12]

    record = AESGCM(content_key).encrypt(nonce, plaintext + b"\x02", None)
    return b"".join((salt, _HEAD, our_public, record))
