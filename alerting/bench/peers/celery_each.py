"""One Celery task a message: look it up, note it, call Twilio's own synchronous client, note it.

The shape of the public-sector notifiers: a row inserted when the task begins, updated when the
provider has answered. Run by `celery -A alerting.bench.peers.celery_each worker`.
"""

from __future__ import annotations

import os
from typing import Any

import psycopg
from celery import Celery, signals
from kombu.entity import Queue
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

URL, DATABASE = os.environ.get("PEER_PROVIDER_URL", ""), os.environ.get("PEER_DATABASE_URL", "")
SENDER = "+447700900000"

app = Celery("peer", broker=os.environ.get("PEER_BROKER_URL", ""))
app.conf.update(
    task_queues=[Queue("peer")],  # type: ignore[no-untyped-call]
    task_default_queue="peer",
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
)

_held: dict[str, Any] = {}


class _Elsewhere(TwilioHttpClient):  # type: ignore[misc]  # the SDK carries no types
    """Twilio's own client with its pool of connections, told to call another address."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        path = url.partition("://")[2].partition("/")[2]
        return super().request(method, f"{URL}/{path}", *args, **options)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _open(**_: Any) -> None:
    _held["db"] = psycopg.connect(DATABASE, autocommit=True)
    _held["twilio"] = Client("AC" + "0" * 32, "x", http_client=_Elsewhere(pool_connections=True))


@app.task(name="peer.send")  # type: ignore[untyped-decorator]
def send(number: int, to: str, body: str) -> None:
    db, twilio = _held["db"], _held["twilio"]
    db.execute(
        "insert into peer (id, recipient, state) values (%s, %s, 'sending')"
        " on conflict (id) do nothing",
        (number, to),
    )
    sent = twilio.messages.create(to=to, from_=SENDER, body=body)
    db.execute("update peer set state = 'sent', ref = %s where id = %s", (sent.sid, number))
