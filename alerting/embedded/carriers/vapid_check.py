"""Says whether a push message comes from whom it claims (RFC 8292)."""

from __future__ import annotations

import binascii
import json
import re
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

#: RFC 8292 §2: a token must not live longer than this.
_MAX_LIFE_S = 24 * 3600
#: Clocks differ by so much.
_SKEW_S = 60
_KNOWN = 1024
_PARAMETER = re.compile(r"\s*([a-z]+)\s*=\s*\"?([A-Za-z0-9_.\-=]+)\"?\s*")


class BadVapid(Exception):
    """Not identified; the text says why. `status` is 401 without a token, else 403."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Token:
    audience: str
    expires_at: float
    contact: str


class VapidCheck:
    """Checks `Authorization: vapid t=…, k=…`. A token once verified is only compared afterwards:
    a sender uses the same one for hours, and verifying costs more than all else."""

    def __init__(self) -> None:
        self._known: dict[str, _Token] = {}

    def sender(self, header: str, origin: str) -> str:
        """The sender's contact (`sub`, may be empty).

        Args:
            origin: Of the push resource as the sender addressed it; the token must name it.

        Raises:
            BadVapid
        """
        token = self._known.get(header)
        if token is None:
            token = _verified(header)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[header] = token
        now = time.time()
        if token.audience != origin:
            raise BadVapid(403, f"The token's aud is not {origin}.")
        if token.expires_at <= now - _SKEW_S:
            raise BadVapid(403, "The token has expired.")
        if token.expires_at > now + _MAX_LIFE_S + _SKEW_S:
            raise BadVapid(403, "The token's exp is more than 24 hours away.")
        return token.contact


def _verified(header: str) -> _Token:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "vapid":
        raise BadVapid(401, "An Authorization header of scheme vapid is required.")
    matches = [_PARAMETER.fullmatch(part) for part in rest.split(",")]
    parameters = {m[1]: m[2] for m in matches if m}
    if "t" not in parameters or "k" not in parameters:
        raise BadVapid(401, "The vapid scheme needs the parameters t and k.")
    try:
        head, claims, signature = parameters["t"].split(".")
        raw = _decoded(signature)
        if json.loads(_decoded(head))["alg"] != "ES256" or len(raw) != 64:
            raise BadVapid(403, "The token is not signed with ES256.")
        key = ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), _decoded(parameters["k"])
        )
        der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
        said = json.loads(_decoded(claims))
        return _Token(str(said["aud"]), float(said["exp"]), str(said.get("sub", "")))
    except InvalidSignature as e:
        raise BadVapid(403, "The token's signature does not fit its key.") from e
    except (ValueError, KeyError, TypeError, binascii.Error) as e:
        raise BadVapid(403, "The token or its key cannot be read.") from e


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
