"""A request's body, refused while it is read when it is too large."""

from __future__ import annotations

from fastapi import Request

from alerting.errors import BadInput


class BodyTooLarge(BadInput):
    http_status = 413


async def whole_body(request: Request, limit: int) -> bytes:
    """All bytes of the body. Raises BodyTooLarge beyond `limit` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge(f"The body is larger than {limit:,} bytes.")
        parts.append(part)
    return b"".join(parts)
