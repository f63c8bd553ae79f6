"""`docs/api.md` tells the truth: every line in it is run, and every route is in it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import uvicorn
from served import every_route
from shapely import box
from sqlalchemy import text

from alerting.api import create_app
from alerting.audience.synthetic import generate, store
from alerting.bootstrap import Runtime
from alerting.citizen import router as citizen_pages
from alerting.domain.principal import internal
from alerting.embedded.wait import until
from alerting.settings import Settings
from alerting.store.admin import api_keys, stored_alarms
from alerting.store.alerts import stored_alerts

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
LINES = re.findall(r"```sh\n(.+?)\n```\nAnswers (\d{3})", PAGE, re.S)

#: Assets that pages load.
_ASSETS = {"/docs.css", "/citizen.css"}


def test_every_route_is_on_the_page() -> None:
    lines = [line for line, _ in LINES]
    for route in every_route(create_app(Settings(), citizen_pages).routes):
        if route.path in _ASSETS:
            continue
        path = re.sub(r"\\{[a-z_:]+\\}", '[^/?" ]+', re.escape(route.path))
        for method in route.methods - {"HEAD"}:
            word = "" if method == "GET" else f"-X {method} "
            wanted = re.compile(rf'curl {word}"\$API{path}[?"]')
            assert any(wanted.match(line) for line in lines), (method, route.path)


def test_every_curl_line_has_its_answer() -> None:
    assert PAGE.count("```sh") == len(LINES) > 20


@dataclass
class Api:
    url: str
    settings: Settings


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[Api]:
    """The application behind a real socket."""
    settings = Settings(database_url=database_url, redis_url=redis_url)
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, citizen_pages), port=0, log_config=None)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, timeout_s=60, what="the API to start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Api(f"http://127.0.0.1:{port}", settings)
    finally:
        server.should_exit = True
        thread.join(20)


def test_every_variable_of_a_curl_line_is_explained() -> None:
    explained = PAGE.partition("**In the lines below**")[2].partition("\n")[0]
    used = {name for line, _ in LINES for name in re.findall(r"\$[A-Z]+", line)}
    made = {"$API", "$KEY"}
    assert {name for name in used - made if f"`{name}`" not in explained} == set()


@pytest.mark.usefixtures("operator")
async def test_every_curl_line_answers_as_documented(api: Api) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    environment = await prepared(api)
    for line, status in LINES:
        if "/approval" in line:
            await hold(api, environment["HELD"])
        if "/a/$ALERT" in line:
            await tell(api, environment["ALERT"])
        got, body = await run(line, environment)
        assert (got, line) == (status, line), body
        if "-X POST" in line and "/v1/alerts?" in line and "dry_run" not in line:
            environment["ALERT"] = json.loads(body)["id"]
        if "-X POST" in line and "/v1/silences" in line:
            environment["SILENCE"] = json.loads(body)["id"]


async def prepared(api: Api) -> dict[str, str]:
    """The page's own key, a citizen, and an alert of another submitter's."""
    citizens = generate(
        3,
        box(2.40, 54.46, 2.62, 54.60),
        seed=7,
        make_push=lambda name: (f"https://push.example.org/{name}", {"p256dh": "p", "auth": "a"}),
        languages={"en": 1.0},
    )
    async with Runtime.open(api.settings) as runtime:
        async with runtime.db.begin() as connection:
            await store(connection, citizens)
            other = await api_keys.create(
                connection, "other", ["submit"], senders=("*",), by=internal("test")
            )
            address = await connection.scalar(text("select min(id) from address"))
            await stored_alarms.open_(connection, "provider-down", "sms.1", "It does not answer.")
            (alarm,) = await stored_alarms.open_alarms(connection)
        token = runtime.links.token(int(address or 0))
        page = runtime.links.page
    document = (ROOT / "examples" / "flood.xml").read_text(encoding="utf-8")
    held = document.replace("example-flood-0001", "held-one")
    status, body = await run(
        'curl -X POST "$API/v1/alerts?now=true" -H "Authorization: Bearer $OTHER" '
        '-H "Content-Type: application/cap+xml" --data-binary "$HELD_CAP"',
        {"API": api.url, "OTHER": other, "HELD_CAP": held},
    )
    assert status == "202", body
    held_id = UUID(json.loads(body)["id"])
    async with Runtime.open(api.settings) as runtime, runtime.db.begin() as connection:
        stored = await stored_alerts.get(connection, held_id)
    assert stored is not None
    return {
        "API": api.url,
        "KEY": await key_of_the_page(api),
        "TOKEN": token,
        "ALARM": str(alarm.id),
        "HELD": str(held_id),
        "CODE": stored.code or "",
        "PAGE": page(held_id),
        "TOMORROW": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }


async def key_of_the_page(api: Api) -> str:
    """The key that the page says to make, made as it says."""
    said = re.search(r"```\n(API=.+?)\n```", PAGE, re.S)
    assert said is not None
    ours = f'alerting() {{ {sys.executable} -m alerting.cli "$@"; }}\n'
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-ec",
        f'{ours}{said[1]}\necho "$KEY"',
        env={**os.environ, "DATABASE_URL": api.settings.database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await shell.communicate()
    assert shell.returncode == 0, err.decode()
    return out.decode().strip()


async def hold(api: Api, alert_id: str) -> None:
    async with Runtime.open(api.settings) as runtime, runtime.db.begin() as connection:
        await connection.execute(
            text("update alert set state = 'held' where id = :id"), {"id": alert_id}
        )


async def tell(api: Api, alert_id: str) -> None:
    """As if it had been planned before it was cancelled."""
    async with Runtime.open(api.settings) as runtime, runtime.db.begin() as connection:
        await connection.execute(
            text("update alert set planned_at = now() where id = :id"), {"id": alert_id}
        )


async def run(line: str, environment: dict[str, str]) -> tuple[str, str]:
    """Run one line as a person would; returns (status, body)."""
    asks = "curl() { command curl -sS --max-time 20 -w '\\n%{http_code}' \"$@\"; }\n"
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        asks + line,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await shell.communicate()
    assert shell.returncode == 0, err.decode()
    body, _, status = out.decode().rpartition("\n")
    return status, body
