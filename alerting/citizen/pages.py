"""`/a/{alert}`: the whole alert in the reader's language. `/x/{token}`: one that is not for
everybody. `/u/{token}`: stop these messages.

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
from alerting.channels.content import drill_words, leads
from alerting.channels.phrases import direction, phrases
from alerting.domain.alert import Alert
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.language import best_language
from alerting.domain.links import Purpose
from alerting.drills import rosters
from alerting.errors import NotFound
from alerting.store import alerts, citizens
from alerting.store.alerts import StoredAlert

router = APIRouter(include_in_schema=False)

_pages = Environment(loader=PackageLoader("alerting.citizen"), autoescape=True, trim_blocks=True)

#: The banner over an alert that is not in force.
_BANNERS = {
    AlertState.HELD: "This alert has not been released. Nobody has been warned by it.",
    AlertState.RECORDED: "This is kept for the record. It is not sent to anybody.",
    AlertState.CANCELLED: "This alert has been cancelled.",
    AlertState.SUPERSEDED: "A newer version has replaced this alert.",
    AlertState.EXPIRED: "This alert has ended.",
}

_CLOSED = "This alert is for a closed group of people, not for the public."

#: A page that not everybody may see is kept by nobody on the way, and found by nobody.
_OWN = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex, nofollow"}

#: The page of each kind of leaving.
_LEAVE = {Purpose.LEAVE: "leave.html", Purpose.DRILL: "leave_drills.html"}

_UNKNOWN = "This alert is not known here."


@router.get("/a/{alert_id}")
async def alert(
    request: Request,
    alert_id: UUID,
    lang: Annotated[str | None, Query(max_length=35)] = None,
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """One public alert. What is not for everybody, or was not issued, is not shown (404)."""
    run = Runtime.of(request.app)
    async with run.db.begin() as connection:
        stored = await alerts.get(connection, alert_id)
    document = None if stored is None else from_json(stored.document)
    if stored is None or document is None or not document.for_public or not _issued(stored):
        return _page("gone.html", 404, text=_UNKNOWN)
    return _shown(request, stored, document, lang or _first(accept_language))


@router.get("/x/{token}")
async def own(
    request: Request,
    token: str,
    lang: Annotated[str | None, Query(max_length=35)] = None,
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """Any alert, for whoever was sent its own link: an exercise, one for a closed group, one that
    was not issued. It says first what it is."""
    run = Runtime.of(request.app)
    try:
        alert_id = run.links.alert_id(token)
    except NotFound as e:
        return _page("gone.html", 404, text=str(e))
    async with run.db.begin() as connection:
        stored = await alerts.get(connection, alert_id)
    if stored is None:
        return _page("gone.html", 404, text=_UNKNOWN)
    page = _shown(request, stored, from_json(stored.document), lang or _first(accept_language))
    page.headers.update(_OWN)
    return page


def _shown(request: Request, stored: StoredAlert, document: Alert, wanted: str) -> Response:
    languages = list(dict.fromkeys(i.language for i in document.infos))
    language = best_language(languages, wanted) or "en"
    words = phrases(wanted or language, language)
    drill, drill_note = drill_words(document.status, words)
    infos = [i for i in document.infos if i.language == language]
    title = (infos[0].headline or infos[0].event) if infos else document.identifier
    state = stored.state
    if not _issued(stored):
        state = AlertState.RECORDED if state is AlertState.RECORDED else AlertState.HELD
    elif Runtime.of(request.app).clock.now() >= stored.expires_at:
        state = AlertState.EXPIRED
    banners = [_BANNERS.get(state, "")]
    if not document.is_drill and not document.for_public:
        banners.insert(0, _CLOSED)
    return _page(
        "alert.html",
        language=language,
        direction=direction(language),
        languages=languages,
        infos=infos,
        alert=document,
        title=title if not drill or leads(drill, title) else f"{drill}{words.colon}{title}",
        drill=drill,
        drill_note=drill_note,
        drill_language=words.language,
        drill_direction=direction(words.language),
        banners=[b for b in banners if b],
        path=request.url.path,
    )


def _issued(stored: StoredAlert) -> bool:
    """False where nobody was to be told: it is held or recorded, or ended before it was planned."""
    if stored.state in {AlertState.HELD, AlertState.RECORDED}:
        return False
    return stored.state not in ENDED or stored.planned_at is not None or stored.audience > 0


@router.get("/u/{token}")
async def ask(request: Request, token: str) -> Response:
    """Ask before anything changes: mail scanners open every link they find."""
    try:
        leaving = Runtime.of(request.app).links.leaving(token)
    except NotFound as e:
        return _page("gone.html", 404, text=str(e))
    return _page(_LEAVE[leaving.purpose], path=request.url.path, done=False)


@router.post("/u/{token}")
async def leave(request: Request, token: str) -> Response:
    """Stop at once what the link is for: no cookie, no redirect, no question (RFC 8058).

    A link for leaving drills ends memberships of rosters and leaves the consent to real alerts
    alone; any other withdraws that consent for one address.
    """
    run = Runtime.of(request.app)
    channel = ""
    try:
        leaving = run.links.leaving(token)
        async with run.db.begin() as connection:
            if leaving.purpose is Purpose.DRILL:
                await rosters.leave_all(connection, leaving.address_id, actor="citizen")
            else:
                channel = await citizens.set_consent(
                    connection, leaving.address_id, False, "citizen"
                )
    except NotFound as e:
        return _page("gone.html", 404, text=str(e))
    return _page(_LEAVE[leaving.purpose], done=True, channel=channel)


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
