"""What providers report: checked, kept, answered; applied to the ledger later."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from twilio.request_validator import RequestValidator

from alerting.api.access import RuntimeDep
from alerting.errors import NotAllowed
from alerting.observe.metrics import BAD_SIGNATURES
from alerting.store import receipts
from alerting.store.db import Database
from alerting.store.receipts import NewReceipt

router = APIRouter(tags=["providers"])

#: Receipts come in bursts as large as the alert; one insert takes this many.
_BATCH = 500


class BadSignature(NotAllowed):
    http_status = 403


class Intake:
    """Keeps receipts many at a time. `keep` returns when its receipt is durable.

    While one batch is written the next gathers, so a burst costs few transactions and a lone
    receipt waits for nobody.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[NewReceipt, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, receipt: NewReceipt) -> None:
        """Store one receipt. Raises what the database raised: the provider then tries again."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipt, kept))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await kept

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            try:
                async with self._db.begin() as connection:
                    await receipts.add(connection, [r for r, _ in batch])
            except Exception as e:
                for _, kept in batch:
                    if not kept.done():
                        kept.set_exception(e)
            else:
                for _, kept in batch:
                    if not kept.done():
                        kept.set_result(None)


@router.post("/webhooks/twilio/status", status_code=204, summary="Twilio's status callbacks")
async def twilio_status(
    request: Request, run: RuntimeDep, delivery: Annotated[int, Query(ge=0)]
) -> Response:
    """Keep one status report of one SMS.

    The signature is checked over the public URL, because a proxy may have ended TLS, and over
    every field received, because Twilio adds fields without notice.
    """
    form = await _signed_form(request, run.settings.public_url, run.twilio_token)
    intake: Intake = request.app.state.intake
    await intake.keep(
        NewReceipt(
            channel="sms",
            delivery_id=delivery,
            provider_ref=form.get("MessageSid", ""),
            status=form.get("MessageStatus", ""),
            code=form.get("ErrorCode", ""),
        )
    )
    return Response(status_code=204)


async def _signed_form(request: Request, public_url: str, token: str) -> dict[str, str]:
    """The form's fields. Raises BadSignature for anything Twilio did not sign with our token."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form: dict[str, str] = {}
    if kind == "application/x-www-form-urlencoded":
        form = {k: v for k, v in (await request.form()).items() if isinstance(v, str)}
    url = f"{public_url}{request.url.path}?{request.url.query}"
    signature = request.headers.get("x-twilio-signature", "")
    # An empty form is refused first: the validator wants other parameters for other bodies.
    if not form or not signature or not RequestValidator(token).validate(url, form, signature):
        BAD_SIGNATURES.inc()
        raise BadSignature("The signature does not fit.")
    return form
