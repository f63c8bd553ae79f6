"""The alternative: a callback endpoint as the framework's tutorial has it, one commit each.

`python -m lab.bench.receipts.plain` serves it where ALERTING_HOST and ALERTING_PORT say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Query, Request, Response
from sqlalchemy.dialects.postgresql import insert
from twilio.request_validator import RequestValidator

from alerting.embedded.carriers import SANDBOX_TOKEN
from alerting.settings import Settings, settings
from alerting.store.db import Database
from alerting.store.schema import receipt


def create_app(config: Settings) -> FastAPI:
    """The product's path, signature and table; the same server runs it."""
    db = Database(config.database_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await db.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhooks/twilio/status", status_code=204)
    async def status(request: Request, delivery: Annotated[int, Query(ge=0)]) -> Response:
        form = {k: v for k, v in (await request.form()).items() if isinstance(v, str)}
        url = f"{config.public_url}{request.url.path}?{request.url.query}"
        signed = request.headers.get("x-twilio-signature", "")
        if not RequestValidator(SANDBOX_TOKEN).validate(url, form, signed):
            return Response(status_code=403)
        async with db.begin() as connection:
            await connection.execute(
                insert(receipt)
                .values(
                    channel="sms",
                    delivery_id=delivery,
                    provider_ref=form.get("MessageSid", ""),
                    status=form.get("MessageStatus", ""),
                    code=form.get("ErrorCode", ""),
                )
                .on_conflict_do_nothing()
            )
        return Response(status_code=204)

    return app


if __name__ == "__main__":
    found = settings()
    uvicorn.run(
        create_app(found),
        host=found.host,
        port=found.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
    )
