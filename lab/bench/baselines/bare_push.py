"""A bare loop: the same messages encrypted and posted as fast as one process can, none noted.

Encryption is RFC 8291 with a key pair for each message, written out on `cryptography`; the token
of RFC 8292 is signed once. Run as `python -m lab.bench.baselines.bare_push SUBSCRIPTIONS PEM
MESSAGE CONCURRENCY`: a file with a subscription a line, our key, and the JSON that each is sent
with a number of its own. Prints the seconds.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import aiohttp
import jwt
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from yarl import URL

_CURVE, _ECDH = ec.SECP256R1(), ec.ECDH()


def encrypt(clear: bytes, p256dh: str, auth: str) -> bytes:
    """The body of one request."""
    theirs, secret = urlsafe_b64decode(p256dh + "="), urlsafe_b64decode(auth + "==")
    key = ec.generate_private_key(_CURVE)
    subject = _point(key)
    agreed = key.exchange(_ECDH, ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, theirs))
    mixed = hmac.digest(secret, agreed, "sha256")
    material = hmac.digest(mixed, b"WebPush: info\0" + theirs + subject + b"\1", "sha256")
    salt = os.urandom(16)
    root = hmac.digest(salt, material, "sha256")
    aes = hmac.digest(root, b"Content-Encoding: aes128gcm\0\1", "sha256")[:16]
    nonce = hmac.digest(root, b"Content-Encoding: nonce\0\1", "sha256")[:12]
    return salt + b"\0\0\x10\0A" + subject + AESGCM(aes).encrypt(nonce, clear + b"\2", None)


def authorization(pem: bytes, origin: str) -> str:
    """The VAPID header, the same for every message to this push service."""
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key is not of an elliptic curve")
    claims = {"aud": origin, "exp": int(time.time()) + 43200, "sub": "mailto:alerts@example.org"}
    public = urlsafe_b64encode(_point(key)).rstrip(b"=").decode()
    return f"vapid t={jwt.encode(claims, key, 'ES256')}, k={public}"


async def post(lines: list[str], pem: bytes, message: str, concurrency: int) -> float:
    """Send to each; returns the seconds it took. Raises for an answer that is not 201."""
    phones = [json.loads(line) for line in lines]
    headers = {
        "Authorization": authorization(pem, str(URL(phones[0]["endpoint"]).origin())),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": "86400",
        "Urgency": "high",
        "Topic": json.loads(message)["tag"],
    }
    head, work = message.rstrip("}"), iter(enumerate(phones))
    connector = aiohttp.TCPConnector(limit=concurrency)

    async def worker(session: aiohttp.ClientSession) -> None:
        for n, phone in work:
            clear = f'{head},"delivery":{n}}}'.encode()
            body = encrypt(clear, phone["keys"]["p256dh"], phone["keys"]["auth"])
            async with session.post(URL(phone["endpoint"], encoded=True), data=body) as answer:
                await answer.read()
                if answer.status != 201:
                    raise RuntimeError(f"the push service answered {answer.status}")

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        start = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))
        return time.perf_counter() - start


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def main() -> None:
    file, pem, message, concurrency = sys.argv[1:]
    lines = Path(file).read_text("ascii").splitlines()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds = runner.run(post(lines, Path(pem).read_bytes(), message, int(concurrency)))
    sys.stdout.write(f"{seconds}\n")


if __name__ == "__main__":
    main()
