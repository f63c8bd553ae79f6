"""A signature as stored with its alert, so that it is not computed again."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from alerting.throttle.events.signature import Signature

#: Increased whenever `signature` changes its result: older stored ones are then computed again.
VERSION = 1

_ADAPTER: TypeAdapter[Signature] = TypeAdapter(Signature)


def to_bytes(one: Signature) -> bytes:
    return _ADAPTER.dump_json(one)


def from_bytes(body: bytes) -> Signature | None:
    """The stored signature; None when it cannot be read."""
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError:
        return None
