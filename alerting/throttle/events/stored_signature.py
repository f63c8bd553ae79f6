"""A signature as it is kept with its alert, so that nobody works it out again."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from alerting.throttle.events.signature import Signature

#: Raised whenever `signature` begins to answer otherwise: what was kept before is worked out anew.
VERSION = 1

_ADAPTER: TypeAdapter[Signature] = TypeAdapter(Signature)


def to_bytes(one: Signature) -> bytes:
    return _ADAPTER.dump_json(one)


def from_bytes(body: bytes) -> Signature | None:
    """The signature that was kept; None where it cannot be read."""
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError:
        return None
