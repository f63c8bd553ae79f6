"""Pages for citizens. `/{code}`: the whole alert in the reader's language. `/a/{alert}`: the long
link to a public one; `/x/{token}`: that to any. `/u/{token}`: unsubscribe, and subscribe again.

Plain pages without scripts or external resources: they must open on an old phone in a crowded
network.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from alerting.bootstrap import Runtime
from alerting.cap import from_json
from alerting.channels import registry
from alerting.channels.text.phrases import direction
from alerting.citizen.alert_page import alert_page, pages, reading
from alerting.citizen.page_cache import PageCache, tag_of
from alerting.citizen.words import words_for
from alerting.domain.alert import Alert
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.links import CODE, Purpose
from alerting.drills import rosters
from alerting.errors import NotFound
from alerting.store.alerts import stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import directory
from alerting.store.citizens.directory import AddressState
from alerting.store.citizens.suppressions import Endpoint

router = APIRouter(include_in_schema=False)

_READ = ["GET", "HEAD"]

#: The longest language tag that BCP 47 (RFC 5646, 4.4.1) asks to be accepted, in characters.
_LONGEST_TAG = 35


class _Code(Convertor[str]):
    """A path in the form of a code. Other paths of eight letters do not match."""

    regex = CODE

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("code", _Code())

#: For a public alert: caches revalidate once a second for all its readers, so that its end is seen
#: at once, and serve a stale page while we do not answer.
_PUBLIC = {"Cache-Control": "public, max-age=1, stale-if-error=600", "Vary": "Accept-Language"}

#: A page that is not public is neither cached nor indexed.
_OWN = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex, nofollow"}

#: Pages that may change until the next request: an unknown alert, and unsubscribing.
_UNKEPT = {"Cache-Control": "no-store"}

_STYLE = {"Cache-Control": "public, max-age=3600"}

#: The page of each kind of unsubscribing.
_LEAVE = {Purpose.LEAVE: "leave.html", Purpose.DRILL: "leave_drills.html"}

_UNKNOWN = "This alert is not known here."


@router.api_route("/a/{alert_id}", methods=_READ)
async def alert(
    request: Request,
    alert_id: str,
    lang: Annotated[str, Query()] = "",
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """One public alert. An alert that is not public, or was not issued, is not shown (404)."""
    run = Runtime.of(request.app)
    try:
        known = UUID(alert_id)
    except ValueError:
        return _gone(request)
    path = f"/a/{known}"
    found = await _kept(request).find(run.db, path, partial(stored_alerts.get, alert_id=known))
    if found is None or not found[0].for_public or not _issued(found[0]):
        return _gone(request)
    return _shown(request, *found, _wanted(lang, accept_language), path)


@router.api_route("/x/{token}", methods=_READ)
async def own(
    request: Request,
    token: str,
    lang: Annotated[str, Query()] = "",
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """Any alert, for holders of its own link: also an exercise, one for a closed group, or one that
    was not issued. A banner says what it is."""
    run = Runtime.of(request.app)
    try:
        alert_id = run.links.alert_id(token)
    except NotFound as e:
        return _gone(request, str(e))
    async with run.db.begin() as connection:
        stored = await stored_alerts.get(connection, alert_id)
    if stored is None:
        return _gone(request)
    return _own(request, stored, from_json(stored.document), _wanted(lang, accept_language))


@router.api_route("/{code:code}", methods=_READ)
async def short(
    request: Request,
    code: str,
    lang: Annotated[str, Query()] = "",
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """The alert of a short link: a public one as under `/a/`, any other as under `/x/`."""
    run = Runtime.of(request.app)
    path = f"/{code}"
    found = await _kept(request).find(run.db, path, partial(stored_alerts.by_code, code=code))
    if found is None:
        return _gone(request)
    (stored, document), wanted = found, _wanted(lang, accept_language)
    if not stored.for_public:
        return _own(request, stored, document, wanted)
    if not _issued(stored):
        return _gone(request)
    return _shown(request, stored, document, wanted, path)


def _kept(request: Request) -> PageCache:
    """This process's cache of public alerts."""
    state = request.app.state
    if not hasattr(state, "page_cache"):
        state.page_cache = PageCache()
    kept: PageCache = state.page_cache
    return kept


def _own(request: Request, stored: StoredAlert, document: Alert, wanted: str) -> Response:
    state, path = _state(request, stored), request.scope["path"]
    page = alert_page(document, state, reading=reading(document, wanted), path=path)
    return _html(page, headers=_OWN)


def _shown(
    request: Request, stored: StoredAlert, document: Alert, wanted: str, path: str
) -> Response:
    state = _state(request, stored)
    page = _kept(request).page(path, document, state, reading(document, wanted))
    return _unless_known(request, _html(page.body, headers=_PUBLIC), page.tag)


def _unless_known(request: Request, answer: Response, tag: str) -> Response:
    """The response with its ETag; 304 without a body when the reader has this version."""
    answer.headers["ETag"] = tag
    if tag not in request.headers.get("if-none-match", ""):
        return answer
    kept = ("etag", "cache-control", "vary")
    return Response(status_code=304, headers={n: v for n, v in answer.headers.items() if n in kept})


def _state(request: Request, stored: StoredAlert) -> AlertState:
    """An alert's state, as its page shows it."""
    if not _issued(stored):
        held = stored.state is not AlertState.RECORDED
        return AlertState.HELD if held else AlertState.RECORDED
    if Runtime.of(request.app).clock.now() >= stored.expires_at:
        return AlertState.EXPIRED
    return stored.state


def _issued(stored: StoredAlert) -> bool:
    """False for an alert that is held or recorded, or that ended before it was planned."""
    if stored.state in {AlertState.HELD, AlertState.RECORDED}:
        return False
    return stored.state not in ENDED or stored.planned_at is not None or stored.audience > 0


@router.api_route("/u/{token}", methods=_READ)
async def ask(request: Request, token: str) -> Response:
    """Ask before anything changes: mail scanners open every link they find."""
    run = Runtime.of(request.app)
    try:
        leaving = run.links.leaving(token)
        async with run.db.begin() as connection:
            about = await directory.reachable(connection, leaving.address_id)
    except NotFound as e:
        return _gone(request, str(e))
    done = about.left and leaving.purpose is Purpose.LEAVE
    return _leaving(request, leaving.purpose, about.endpoint, left=done)


@router.post("/u/{token}")
async def leave(request: Request, token: str) -> Response:
    """Unsubscribe at once: no cookie, no redirect, no question (RFC 8058).

    A link for drills ends memberships of rosters and leaves the consent to real alerts alone; any
    other withdraws that consent, for the endpoint in every row that has it.
    """
    run = Runtime.of(request.app)
    try:
        leaving = run.links.leaving(token)
        async with run.db.begin() as connection:
            if leaving.purpose is Purpose.DRILL:
                endpoint = (await directory.reachable(connection, leaving.address_id)).endpoint
                await rosters.leave_all(connection, leaving.address_id, actor="citizen")
            else:
                endpoint = await directory.leave(connection, leaving.address_id, actor="citizen")
    except NotFound as e:
        return _gone(request, str(e))
    return _leaving(request, leaving.purpose, endpoint, left=True)


@router.post("/u/{token}/back")
async def come_back(request: Request, token: str) -> Response:
    """Undo an unsubscription: the reader of a forwarded message must not unsubscribe its owner for
    good."""
    run = Runtime.of(request.app)
    try:
        address_id = run.links.leaving(token, Purpose.LEAVE).address_id
        async with run.db.begin() as connection:
            about = await directory.come_back(connection, address_id, actor="citizen")
    except NotFound as e:
        return _gone(request, str(e))
    endpoint = Endpoint(about.channel, about.endpoint)
    return _leaving(request, Purpose.LEAVE, endpoint, left=False, back=about)


def _leaving(
    request: Request,
    purpose: Purpose,
    endpoint: Endpoint,
    *,
    left: bool,
    back: AddressState | None = None,
) -> Response:
    answer = _page(
        request,
        _LEAVE[purpose],
        path=request.scope["path"].removesuffix("/back"),
        done=left,
        back=back,
        address=registry.masked(*endpoint),
    )
    answer.headers.update(_OWN)
    return answer


@router.api_route("/citizen.css", methods=_READ)
async def style(request: Request) -> Response:
    css = pages.get_template("citizen.css").render()
    answer = Response(css, media_type="text/css", headers=_STYLE)
    return _unless_known(request, answer, tag_of(answer.body))


def _gone(request: Request, text: str = _UNKNOWN) -> Response:
    return _page(request, "gone.html", 404, text=text)


def _page(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    wanted = _wanted(
        request.query_params.get("lang", ""), request.headers.get("accept-language", "")
    )
    words = words_for(wanted)
    page = pages.get_template(name).render(
        words=words, language=words.language, direction=direction(words.language), **values
    )
    return _html(page, status, headers=_UNKEPT)


def _html(html: str | bytes, status: int = 200, *, headers: dict[str, str]) -> Response:
    return Response(html, status, media_type="text/html; charset=utf-8", headers=headers)


def _wanted(lang: str, accept_language: str) -> str:
    """The language asked for, else the one the browser prefers."""
    first = accept_language.partition(",")[0].partition(";")[0].strip()
    return (lang or first)[:_LONGEST_TAG]
