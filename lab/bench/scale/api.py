"""Two APIs on two hosts: what one has taken the other knows."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from alerting.bootstrap import Runtime
from alerting.domain.principal import internal
from alerting.errors import WorkFailed
from alerting.store.admin import api_keys
from lab.bench.stubs.hosts import Host

_READY_S = 60.0

# Asked from inside the host: its API listens on its own loopback, as `alerting serve` does.
_ASK = """
import json, sys, urllib.error, urllib.request
url, key, body, headers = json.load(sys.stdin)
asked = urllib.request.Request(url, body and body.encode(), headers)
asked.add_header("Authorization", "Bearer " + key)
try:
    with urllib.request.urlopen(asked, timeout=20) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as e:
    print(json.dumps([e.code, e.read().decode()]))
except OSError as e:
    print(json.dumps([0, str(e)]))
"""


async def by_two_apis(runtime: Runtime, pair: Sequence[Host], alert: bytes) -> UUID:
    """Submit by the first, repeat by the second; the alert's id. Raises WorkFailed where the
    second does not know of it."""
    one, other = pair
    async with runtime.db.begin() as connection:
        key = await api_keys.create(
            connection, "bench", api_keys.USUAL_RIGHTS, senders=("*",), by=internal("bench")
        )
    await asyncio.gather(*(_ready(h, key) for h in pair))
    headers = {"Content-Type": "application/cap+xml", "Idempotency-Key": "bench"}
    path, body = "/v1/alerts?now=true", alert.decode()
    status, first = await _ask(one, path, key, body, headers)
    again, second = await _ask(other, path, key, body, headers)
    if status != 202 or again != 200 or first["id"] != second["id"]:
        raise WorkFailed(f"One API answered {status} {first}, the other {again} {second}.")
    status, found = await _ask(other, f"/v1/alerts/{first['id']}", key)
    if status != 200 or found["id"] != first["id"]:
        raise WorkFailed(f"The other API answered {status} {found} about the alert.")
    return UUID(first["id"])


async def _ready(host: Host, key: str) -> None:
    end = time.monotonic() + _READY_S
    while (await _ask(host, "/readyz", key))[0] != 200:
        if time.monotonic() > end:
            raise WorkFailed(f"The API of host {host.no} was not ready within {_READY_S:g} s.")
        await asyncio.sleep(0.2)


async def _ask(
    host: Host,
    path: str,
    key: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    process = await asyncio.create_subprocess_exec(
        *host.inside, sys.executable, "-c", _ASK,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    question = [f"http://127.0.0.1:{host.port}{path}", key, body, headers or {}]
    out, _ = await process.communicate(json.dumps(question).encode())
    status, answer = json.loads(out)
    return status, answer
