"""A provider on a real socket that answers each request as a test scripts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web
from loop_clock import put_forward


@dataclass(frozen=True)
class Seen:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), strict_parsing=True, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


#: The connection is reset once the whole request was read.
RESET = "reset"
#: The request is read and never answered.
SILENCE = "silence"
#: A success status and half of the body it announced, then a reset.
HALF = "half"


class ScriptedProvider:
    """Answers every request with `script`, and remembers what it was asked."""

    def __init__(self, script: Reply | str) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.url = ""
        #: How far the clock is put forward once a request was read that is not answered.
        self.silence_s = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(Seen(request.path_qs, request.headers.copy(), await request.read()))
        assert request.transport is not None
        if isinstance(self.script, Reply):
            reply = self.script
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        if self.script == SILENCE:
            # aiohttp ends a long time-out up to a second late.
            put_forward(self.silence_s + 1)
            await asyncio.Event().wait()
        if self.script == HALF:
            response = web.StreamResponse(status=201, headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b'{"sid": "SM1"')
        request.transport.abort()
        return web.Response()


@asynccontextmanager
async def provider(
    script: Reply | str, *, silence_s: float = 0.0
) -> AsyncIterator[ScriptedProvider]:
    scripted = ScriptedProvider(script)
    scripted.silence_s = silence_s
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    scripted.url = f"http://127.0.0.1:{port}"
    try:
        yield scripted
    finally:
        await runner.cleanup()
