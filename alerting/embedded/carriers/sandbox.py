"""The sandbox's own pages: the phones, live, and the switches for faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader

from alerting.embedded.carriers.callbacks import Callbacks
from alerting.embedded.carriers.faults import Faults
from alerting.embedded.carriers.identity import CARRIERS
from alerting.embedded.carriers.intake import Intake
from alerting.embedded.carriers.phones import Phone, phone_of
from alerting.errors import BadInput

_FOLDER = Path(__file__).with_name("page")
#: A browser gets at most ten events a second, however many messages come.
_EVENT_S = 0.1
#: Without messages one event a second, for the rate to fall to zero and dead readers to show.
_IDLE_S = 1.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Sandbox:
    """Handlers below `/sandbox`. `stop` lets the pages that listen go."""

    def __init__(self, intake: Intake, callbacks: Callbacks) -> None:
        self._intake = intake
        self._callbacks = callbacks
        self._stopping = asyncio.Event()
        pages = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        pages.filters |= {"clock": _clock, "author": _author}
        self._page = pages.get_template("phones.html")
        self._phone = pages.get_template("phone.html")
        self._assets = {
            "phones.css": ((_FOLDER / "phones.css").read_bytes(), "text/css"),
            "phones.js": ((_FOLDER / "phones.js").read_bytes(), "text/javascript"),
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._home),
            web.get("/sandbox", self._show),
            web.get("/sandbox/assets/{name}", self._asset),
            web.get("/sandbox/events", self._events),
            web.get("/sandbox/healthz", self._health),
            web.get("/sandbox/faults", self._faults),
            web.post("/sandbox/faults", self._set_faults),
            web.delete("/sandbox/faults", self._reset_faults),
            web.delete("/sandbox/messages", self._clear),
        ]

    def stop(self) -> None:
        self._stopping.set()
        self._intake.phones.wake()

    async def _home(self, _request: web.Request) -> web.Response:
        raise web.HTTPFound("/sandbox")

    async def _show(self, request: web.Request) -> web.Response:
        wanted = request.query.get("find", "").strip()[:100]
        found = self._intake.phones.find(wanted)
        front = [p for p in self._intake.phones.front if p not in found]
        html = self._page.render(
            found=found,
            front=front,
            wanted=wanted,
            totals=self._totals(),
            rows=[("sms", "SMS"), ("push", "Push"), ("email", "Mail")],
            version=self._intake.phones.version,
            faults=_active(self._intake.desk.faults),
        )
        return web.Response(text=html, content_type="text/html", headers=_HEADERS)

    async def _asset(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        body, kind = asset
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the totals, and the screens that changed since the last one.

        Nothing is queued for a reader: each event is made of the state when the reader is ready
        for it, so a burst of 20,000 messages costs a slow browser no more than a fast one.
        """
        response = web.StreamResponse(headers={**_HEADERS, "X-Accel-Buffering": "no"})
        response.content_type, response.charset = "text/event-stream", "utf-8"
        await response.prepare(request)
        phones = self._intake.phones
        wanted = request.query.get("find", "").strip()[:100]
        # Looked for once: a search through every phone ten times a second would be felt.
        found = [p.id for p in phones.find(wanted)] or [phone_of(wanted)]
        since = request.query.get("since", "")
        seen = int(since) if since.isascii() and since.isdigit() else phones.version
        last = b""
        while not self._stopping.is_set():
            version = phones.version
            event: dict[str, object] = {"totals": self._totals(), "phones": []}
            if phones.cleared > seen or seen > version:
                event["cleared"] = True  # a page of an earlier run also starts again
            else:
                event["phones"] = self._screens([*map(phones.get, found), *phones.front], seen)
            data = json.dumps(event).encode()
            try:
                # A comment instead of the same again: it shows whether the reader is still there.
                await response.write(b": same\n\n" if data == last else b"data: " + data + b"\n\n")
            except ConnectionError:
                break
            last, seen = data, version
            await asyncio.sleep(_EVENT_S)
            if not self._stopping.is_set():
                await phones.changed(seen, _IDLE_S)
        return response

    def _screens(self, phones: Iterable[Phone | None], since: int) -> list[dict[str, str]]:
        changed = {p.id: p for p in phones if p is not None and p.changed > since}
        return [
            {"id": p.id, "html": self._phone.render(phone=p, found=(), live=True)}
            for p in changed.values()
        ]

    def _totals(self) -> dict[str, Any]:
        phones = self._intake.phones
        return {
            "accepted": {c: phones.accepted[c] for c in CARRIERS},
            "refused": {c: phones.refused[c] for c in CARRIERS},
            "phones": phones.count,
            "rate": phones.rate,
            "peak": phones.peak,
        }

    async def _health(self, _request: web.Request) -> web.Response:
        callbacks = {
            "waiting": self._callbacks.waiting,
            "posted": self._callbacks.posted,
            "dropped": self._callbacks.dropped,
        }
        return web.json_response({"status": "ok", **self._totals(), "callbacks": callbacks})

    async def _faults(self, _request: web.Request) -> web.Response:
        return _shown(self._intake.desk.faults)

    async def _set_faults(self, request: web.Request) -> web.Response:
        # A page of another site can post a plain form here, but not this content type.
        if request.content_type != "application/json":
            return _problem(415, "Send the faults as application/json.")
        try:
            wanted = json.loads(await request.read())
        except ValueError:
            return _problem(400, "The body is not JSON.")
        try:
            return _shown(self._intake.desk.change(wanted))
        except BadInput as e:
            return _problem(400, str(e))

    async def _reset_faults(self, _request: web.Request) -> web.Response:
        return _shown(self._intake.desk.reset())

    async def _clear(self, _request: web.Request) -> web.Response:
        self._intake.phones.clear()
        return web.Response(status=204)


def _shown(faults: Faults) -> web.Response:
    return web.Response(text=faults.model_dump_json(), content_type="application/json")


def _problem(status: int, detail: str) -> web.Response:
    body = {"type": "about:blank", "title": "Bad input", "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


def _active(faults: Faults) -> list[str]:
    """What is not as it is without faults, for the page."""
    default = Faults()
    active = []
    for carrier in CARRIERS:
        now, usual = getattr(faults, carrier), getattr(default, carrier)
        for name in type(now).model_fields:
            value = getattr(now, name)
            if value != getattr(usual, name):
                shown = len(value) if isinstance(value, frozenset) else value
                active.append(f"{carrier} {name} {shown}")
    return active


def _clock(at: datetime, form: str = "%H:%M:%S") -> str:
    return at.astimezone().strftime(form)


def _author(sender: str) -> str:
    """A mail's sender as mail programs list it: by name where there is one."""
    return parseaddr(sender)[0] or sender
