"""Who we are to push services: the key pair and the tokens signed with it.

Source: RFC 8292 (VAPID); tokens are JWT (RFC 7519) signed with ES256.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from alerting.clock import Clock
from alerting.errors import BadInput

#: RFC 8292 §2 allows 24 hours; less leaves room for clocks that disagree.
TOKEN_LIFE_S = 12 * 3600
#: Subscriptions name their push service themselves, so the number of origins is not ours to set.
MAX_ORIGINS = 1000


def generate() -> bytes:
    """Make a new key pair as PEM. Keep it: subscriptions are bound to it and die with it."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    renew_at_s: float


class Vapid:
    """Signs one token per push service and uses it until half its life is over.

    contact: a `mailto:` or `https:` address at which the push service's staff reach ours.
    Raises BadInput for a key or contact that no push service would take.
    """

    def __init__(self, pem: bytes, contact: str, clock: Clock) -> None:
        if not contact.startswith(("mailto:", "https://")):
            raise BadInput(
                "The contact for push services must begin with mailto: or https://.",
                remedy="Set ALERTING_PUSH_CONTACT.",
            )
        self._key = _load(pem)
        self._public = _public(self._key)
        self._contact = contact
        self._clock = clock
        self._tokens: dict[str, _Token] = {}

    def authorization(self, origin: str) -> str:
        """The Authorization header for a push service's origin (`https://host[:port]`)."""
        now_s = self._clock.now().timestamp()
        token = self._tokens.get(origin)
        if token is None or now_s >= token.renew_at_s:
            if len(self._tokens) >= MAX_ORIGINS:
                self._tokens.clear()
            header = f"vapid t={self._sign(origin, int(now_s))}, k={self._public}"
            token = self._tokens[origin] = _Token(header, now_s + TOKEN_LIFE_S / 2)
        return token.header

    def _sign(self, origin: str, now_s: int) -> str:
        head = _part({"typ": "JWT", "alg": "ES256"})
        claims = _part({"aud": origin, "exp": now_s + TOKEN_LIFE_S, "sub": self._contact})
        signed = f"{head}.{claims}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _load(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise BadInput(
            "The VAPID key is not an unencrypted P-256 private key in PEM.",
            remedy="Remove the file to have a new one made; citizens must then subscribe anew.",
        )
    return key


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    return _base64url(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def _part(value: dict[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
