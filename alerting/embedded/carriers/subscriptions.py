"""Push subscriptions made from a name alone, so that both ends know them without a call."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVE = ec.SECP256R1()
#: n of P-256 (SEC 2 §2.4.2): a private scalar lies in 1..n-1.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class Receiver:
    """The phone's side of a subscription (RFC 8291 §2): its private key and its secret."""

    private_key: ec.EllipticCurvePrivateKey
    auth: bytes


def receiver(seed: bytes | str, name: str) -> Receiver:
    """The same pair for the same seed and name, on every machine."""
    key = seed.encode() if isinstance(seed, str) else seed
    scalar = int.from_bytes(hmac.digest(key, b"p256dh:" + name.encode(), "sha256"))
    auth = hmac.digest(key, b"auth:" + name.encode(), "sha256")[:16]
    return Receiver(ec.derive_private_key(scalar % (_ORDER - 1) + 1, _CURVE), auth)


def subscription(base_url: str, seed: bytes | str, name: str) -> tuple[str, dict[str, str]]:
    """What a browser would hand over: the endpoint, and `p256dh` and `auth` in base64url.

    Args:
        base_url: Of the sandbox, such as `http://127.0.0.1:8090`.
        name: Letters, digits, `.`, `_`, `~` and `-`, at most 64 of them. The sandbox itself knows
            those made with PUSH_SEED.
    """
    phone = receiver(seed, name)
    point = phone.private_key.public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint
    )
    keys = {"p256dh": _base64url(point), "auth": _base64url(phone.auth)}
    return f"{base_url.rstrip('/')}/push/{name}", keys


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
