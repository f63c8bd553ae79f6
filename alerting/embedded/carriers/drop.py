"""Breaks a connection like a failing carrier: in the middle of everything."""

from __future__ import annotations

from aiohttp import web


def dropped(request: web.Request) -> web.Response:
    """Reset the connection under a request. The answer returned is for the server; none is sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
