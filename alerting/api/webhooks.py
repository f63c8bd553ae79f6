"""Provider callbacks: check the signature, store, answer.

Status reports are applied to the ledger later; what a citizen asks for is done at once.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from fastapi import APIRouter, Request, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from twilio.request_validator import RequestValidator

from alerting.bootstrap import Runtime
from alerting.dispatch import replies
from alerting.errors import BadInput, NotAllowed
from alerting.observe.metrics import BAD_SIGNATURES
from alerting.store.ledger.receipt_intake import Intake, NewReceipt

router = APIRouter(tags=["providers"])

_MAX_FIELDS = 200
#: Identifiers and status words as Twilio writes them, and nothing a database could choke on.
_WORD = re.compile(r"[\x21-\x7e]{0,64}", re.ASCII)
_NUMBER = re.compile(r"\+[1-9]\d{4,14}", re.ASCII)
#: Words that Twilio answers itself unless told otherwise
#: (https://help.twilio.com/articles/223134027).
_TWILIO_ANSWERS = frozenset(
    {
        "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT",
        "START", "YES", "UNSTOP", "HELP", "INFO",
    }
)  # fmt: skip
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_DELIVERY = re.compile(r"(?:^|&)delivery=(\d{1,18})(?:&|$)", re.ASCII)


class BadSignature(NotAllowed):
    http_status = 403


async def twilio_status(request: Request) -> Response:
    """Store one status report of the SMS named by `?delivery=`; durable before it is answered.

    The signature is checked over the public URL, because a proxy may have ended TLS, and over
    every field received, because Twilio adds fields without notice.
    """
    form = await _signed_form(request, Runtime.of(request.app))
    delivery = _DELIVERY.search(request.scope["query_string"].decode("latin-1"))
    words = [form.get(n, "") for n in ("MessageSid", "MessageStatus", "ErrorCode")]
    if delivery is None or not all(map(_WORD.fullmatch, words)):
        raise BadInput("The report names no delivery of ours, or holds no words of Twilio's.")
    intake: Intake = request.app.state.intake
    await intake.keep(NewReceipt("sms", int(delivery[1]), *words))
    return Response(status_code=204)


async def twilio_message(request: Request) -> Response:
    """Carry out what a citizen's text message asks for; durable before it is answered.

    Twilio answers some words itself, and blocks or frees the number for its sender; then we say
    nothing.
    """
    run = Runtime.of(request.app)
    form = await _signed_form(request, run)
    ref, sender = form.get("MessageSid", ""), form.get("From", "")
    if not ref or _WORD.fullmatch(ref) is None:
        raise BadInput("The message has no MessageSid of Twilio's.")
    answer = ""
    # Other senders (short codes, names, other services) are nobody's address here.
    if _NUMBER.fullmatch(sender):
        text, understood = form.get("Body", ""), form.get("OptOutType", "")
        async with run.db.begin() as connection:
            answer = await replies.take(connection, ref, sender, text, understood)
        if understood or text.strip().upper() in _TWILIO_ANSWERS:
            answer = ""
    said = f"<Message>{escape(answer)}</Message>" if answer else ""
    return Response(f"{_XML}<Response>{said}</Response>", media_type="text/xml")


_STATUS = Route("/webhooks/twilio/status", twilio_status, methods=["POST"])
router.routes.append(_STATUS)
router.routes.append(Route("/webhooks/twilio/message", twilio_message, methods=["POST"]))


class ReportsFirst:
    """Hands status reports to `twilio_status` past the router and what FastAPI does around it.

    A burst of them is as large as the alert, and all that would be half the cost of each. Errors
    are answered by the handlers of the application. Goes around the application as a middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != _STATUS.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = _STATUS
        request = Request(scope, receive)
        try:
            answer = await twilio_status(request)
        except Exception as e:
            handlers = request.app.exception_handlers
            handler = next((handlers[kind] for kind in type(e).__mro__ if kind in handlers), None)
            if handler is None or handler is handlers.get(Exception):
                raise
            answer = await handler(request, e)
        await answer(scope, receive, send)


async def _signed_form(request: Request, run: Runtime) -> dict[str, str]:
    """The form's fields. Raises BadSignature for anything Twilio did not sign with our token."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    signature = request.headers.get("x-twilio-signature", "")
    body = await request.body()
    form: dict[str, str] = {}
    if kind == "application/x-www-form-urlencoded" and signature:
        form = _fields(body)
    query = request.scope["query_string"].decode("latin-1")
    url = f"{run.settings.public_url}{request.scope['path']}{query and '?'}{query}"
    # An empty form is refused first: the validator wants other parameters for other bodies.
    if not form or not any(_fits(t, url, form, signature) for t in run.twilio_tokens):
        BAD_SIGNATURES.inc()
        raise BadSignature("The signature does not fit.")
    return form


def _fits(token: str, url: str, form: dict[str, str], signature: str) -> bool:
    """The very address first: `validate` also tries it with and without a default port, as some
    of Twilio's senders write it, at three times the cost."""
    validator = RequestValidator(token)
    said = validator.compute_signature(url, form)
    return hmac.compare_digest(said.encode(), signature.encode()) or bool(
        validator.validate(url, form, signature)
    )


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form, none for what is no form. Of a name that comes twice the last counts:
    the signature then does not fit, and Twilio's reports have none."""
    try:
        return dict(parse_qsl(body.decode("ascii"), True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        return {}
