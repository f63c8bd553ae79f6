"""What the carriers' tests share: a client's side of each protocol, in terms of the standards."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import http_ece
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from alerting.embedded.carriers import PUSH_SEED, SANDBOX_ACCOUNT, SANDBOX_TOKEN, subscription

MESSAGES = f"/2010-04-01/Accounts/{SANDBOX_ACCOUNT}/Messages"
AUTH = {
    "Authorization": "Basic " + b64encode(f"{SANDBOX_ACCOUNT}:{SANDBOX_TOKEN}".encode()).decode()
}
FORM = {"To": "+447700900123", "From": "+447700900000", "Body": "Flood: leave the valley now."}


async def until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - another process raises no event here
            await asyncio.sleep(0.01)


@dataclass
class Receiver:
    """Takes status callbacks; `answers` are the next statuses, 204 once they are used up."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        form = {k: str(v) for k, v in (await request.post()).items()}
        headers = request.headers
        url = f"{self.url}?{request.raw_path.partition('?')[2]}"
        self.seen.append(
            (url, form, headers["X-Twilio-Signature"], headers["I-Twilio-Idempotency-Token"])
        )
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    @property
    def statuses(self) -> list[str]:
        return [form["MessageStatus"] for _, form, _, _ in self.seen]


def b64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Pusher:
    """A push sender with a VAPID key of its own, made from the RFCs and http_ece."""

    http: aiohttp.ClientSession
    base: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def vapid(self, **claims: object) -> str:
        said = {"aud": self.base, "exp": int(time.time()) + 3600, "sub": "mailto:a@example.org"}
        head = b64url(json.dumps({"typ": "JWT", "alg": "ES256"}).encode())
        body = b64url(json.dumps({**said, **claims}).encode())
        r, s = decode_dss_signature(self.key.sign(f"{head}.{body}".encode(), ec.ECDSA(SHA256())))
        signature = b64url(r.to_bytes(32) + s.to_bytes(32))
        public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return f"vapid t={head}.{body}.{signature}, k={b64url(public)}"

    def encrypted(self, name: str, clear: bytes) -> bytes:
        _, keys = subscription(self.base, PUSH_SEED, name)
        sealed: bytes = http_ece.encrypt(
            clear,
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=unb64url(keys["p256dh"]),
            auth_secret=unb64url(keys["auth"]),
            version="aes128gcm",
        )
        return sealed

    async def push(
        self,
        name: str = "c7",
        payload: dict[str, object] | None = None,
        *,
        body: bytes | None = None,
        without: tuple[str, ...] = (),
        **headers: str,
    ) -> aiohttp.ClientResponse:
        if body is None:
            body = self.encrypted(name, json.dumps(payload or {"title": "Flood"}).encode())
        sent = {"TTL": "60", "Content-Encoding": "aes128gcm", "Authorization": self.vapid()}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        sent = {k: v for k, v in sent.items() if k not in without}
        endpoint, _ = subscription(self.base, PUSH_SEED, name)
        async with self.http.post(endpoint, data=body, headers=sent) as answer:
            await answer.read()
            return answer
