"""`/a/{alert}`: the whole alert in the reader's language. `/u/{token}`: stop these messages.

Plain pages without scripts or anything from elsewhere: they must open on an old phone in a
crowded network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from jinja2 import Environment, PackageLoader

from alerting.bootstrap import Runtime
from alerting.cap import from_json
from alerting.channels.phrases import direction
from alerting.domain.alert_state import AlertState
from alerting.domain.language import best_language
from alerting.errors import NotFound
from alerting.store import alerts, citizens

router = APIRouter(include_in_schema=False)

_pages = Environment(loader=PackageLoader("alerting.citizen"), autoescape=True, trim_blocks=True)

#: What stands above an alert that no longer holds.
_BANNERS = {
    AlertState.CANCELLED: "This alert has been cancelled.",
    AlertState.SUPERSEDED: "A newer version has replaced this alert.",
    AlertState.EXPIRED: "This alert has ended.",
}


@router.get("/a/{alert_id}")
async def alert(
    request: Request,
    alert_id: UUID,
    lang: Annotated[str | None, Query(max_length=35)] = None,
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """One public alert. Exercises, tests and restricted alerts are not shown (404)."""
    run = Runtime.of(request.app)
    async with run.db.begin() as connection:
        stored = await alerts.get(connection, alert_id)
    document = None if stored is None else from_json(stored.document)
    if stored is None or document is None or not document.for_public:
        return _page("gone.html", 404, text="This alert is not known here.")
    languages = list(dict.fromkeys(i.language for i in document.infos))
    language = best_language(languages, lang or _first(accept_language)) or "en"
    ended = run.clock.now() >= stored.expires_at
    banner = _BANNERS.get(AlertState.EXPIRED if ended else stored.state, "")
    return _page(
        "alert.html",
        language=language,
        direction=direction(language),
        languages=languages,
        infos=[i for i in document.infos if i.language == language],
        alert=document,
        banner=banner,
        path=request.url.path,
    )


@router.get("/u/{token}")
async def ask(request: Request, token: str) -> Response:
    """Ask before anything changes: mail scanners open every link they find."""
    try:
        Runtime.of(request.app).links.address_id(token)
    except NotFound as e:
        return _page("gone.html", 404, text=str(e))
    return _page("leave.html", path=request.url.path, done=False)


@router.post("/u/{token}")
async def leave(request: Request, token: str) -> Response:
    """Withdraw consent for one address at once: no cookie, no redirect, no question (RFC 8058)."""
    run = Runtime.of(request.app)
    try:
        address_id = run.links.address_id(token)
        async with run.db.begin() as connection:
            channel = await citizens.set_consent(connection, address_id, False, "citizen")
    except NotFound as e:
        return _page("gone.html", 404, text=str(e))
    return _page("leave.html", done=True, channel=channel)


@router.get("/citizen.css")
async def style() -> Response:
    return Response(_pages.get_template("citizen.css").render(), media_type="text/css")


def _page(name: str, status: int = 200, **values: Any) -> Response:
    html = _pages.get_template(name).render(**values)
    return Response(html, status, media_type="text/html; charset=utf-8")


def _first(accept_language: str) -> str:
    """The language a browser wants most."""
    wanted: Sequence[str] = accept_language.split(",")
    return wanted[0].partition(";")[0].strip()
