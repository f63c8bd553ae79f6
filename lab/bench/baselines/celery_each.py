"""One Celery task a message: note it, call the provider, note it.

An SMS goes by Twilio's own synchronous client, a mail by aiosmtplib.send on a loop that is kept.

The shape of the public-sector notifiers: a row inserted when the task begins, updated when the
provider has answered. Run by `celery -A lab.bench.baselines.celery_each worker`.
"""

from __future__ import annotations

import asyncio
import os
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import psycopg
from celery import Celery, signals
from kombu.entity import Queue
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

URL, DATABASE = (
    os.environ.get("BASELINE_PROVIDER_URL", ""),
    os.environ.get("BASELINE_DATABASE_URL", ""),
)
SENDER = "+447700900000"

app = Celery("baseline", broker=os.environ.get("BASELINE_BROKER_URL", ""))
app.conf.update(
    task_queues=[Queue("baseline")],  # type: ignore[no-untyped-call]
    task_default_queue="baseline",
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
)

_held: dict[str, Any] = {}


class _Elsewhere(TwilioHttpClient):  # type: ignore[misc]  # the SDK carries no types
    """Twilio's own client with its pool of connections, set to call another address."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        path = url.partition("://")[2].partition("/")[2]
        return super().request(method, f"{URL}/{path}", *args, **options)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _open(**_: Any) -> None:
    _held["db"] = psycopg.connect(DATABASE, autocommit=True)
    _held["loop"] = asyncio.new_event_loop()
    _held["twilio"] = Client("AC" + "0" * 32, "x", http_client=_Elsewhere(pool_connections=True))


@app.task(name="baseline.send")  # type: ignore[untyped-decorator]
def send(number: int, to: str, body: str) -> None:
    _begin(number, to)
    sent = _held["twilio"].messages.create(to=to, from_=SENDER, body=body)
    _end(number, sent.sid)


@app.task(name="baseline.mail")  # type: ignore[untyped-decorator]
def mail(number: int, to: str, body: str) -> None:
    _begin(number, to)
    made = EmailMessage()
    made["From"], made["To"] = "alerts@example.org", to
    made["Subject"] = "Storm surge: leave the waterfront now"
    made.set_content(body)
    host, _, port = URL.partition(":")
    call = aiosmtplib.send(made, hostname=host, port=int(port), start_tls=False)
    _, answer = _held["loop"].run_until_complete(call)
    _end(number, answer)


def _begin(number: int, to: str) -> None:
    _held["db"].execute(
        "insert into baseline (id, recipient, state) values (%s, %s, 'sending')"
        " on conflict (id) do nothing",
        (number, to),
    )


def _end(number: int, ref: str) -> None:
    _held["db"].execute("update baseline set state = 'sent', ref = %s where id = %s", (ref, number))
