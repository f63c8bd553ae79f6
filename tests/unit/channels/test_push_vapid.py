from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from alerting.channels.push import vapid
from alerting.clock import ManualClock
from alerting.errors import BadInput

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ORIGIN = "https://push.example.org"
PEM = vapid.generate()


def signer(pem=PEM):
    clock = ManualClock(NOW)
    return vapid.Vapid(pem, "mailto:duty@example.org", clock), clock


def token(header):
    return header.removeprefix("vapid t=").split(",")[0]


def claims(header, origin=ORIGIN):
    key = load_pem_private_key(PEM, None).public_key()
    return jwt.decode(
        token(header), key, algorithms=["ES256"], audience=origin, options={"verify_exp": False}
    )


def test_token_verifies_with_origin_expiry_and_contact():
    vap, _ = signer()
    assert claims(vap.authorization(ORIGIN)) == {
        "aud": ORIGIN,
        "exp": int(NOW.timestamp()) + vapid.TOKEN_LIFE_S,
        "sub": "mailto:duty@example.org",
    }


def test_token_is_reused_for_half_its_life():
    vap, clock = signer()
    first = vap.authorization(ORIGIN)
    clock.advance(vapid.TOKEN_LIFE_S / 2 - 1)
    assert vap.authorization(ORIGIN) == first
    clock.advance(1)
    renewed = vap.authorization(ORIGIN)
    assert claims(renewed)["exp"] == claims(first)["exp"] + vapid.TOKEN_LIFE_S // 2


def test_each_origin_has_its_own_token():
    vap, _ = signer()
    other = "https://other.example.org"
    assert claims(vap.authorization(other), other)["aud"] == other
    assert claims(vap.authorization(ORIGIN))["aud"] == ORIGIN


def test_token_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(vapid, "MAX_ORIGINS", 3)
    vap, _ = signer()
    for number in range(10):
        origin = f"https://p{number}.example.org"
        assert claims(vap.authorization(origin), origin)["aud"] == origin
    assert len(vap._tokens) <= 3


def test_generated_keys_differ():
    assert vapid.generate() != PEM


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
    ],
)
def test_keys_of_other_types_are_refused(key):
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(BadInput, match="subscribe anew"):
        signer(pem)


def test_encrypted_key_is_refused():
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    with pytest.raises(BadInput, match="unencrypted"):
        signer(pem)
