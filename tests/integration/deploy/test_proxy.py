"""deploy/Caddyfile, in front of something that answers everything."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alerting.embedded.wait import until

CADDY = shutil.which("caddy")
FILE = Path(__file__).parents[3] / "deploy" / "Caddyfile"

pytestmark = pytest.mark.skipif(CADDY is None, reason="Caddy is not installed (make proxy-deps)")


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The public address and the operators' of a proxy that runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    public, operators = free_port(), free_port()
    env = os.environ | {
        "ALERTING_SITE": f"http://127.0.0.1:{public}",
        "ALERTING_API": f"127.0.0.1:{server.server_port}",
        "ALERTING_OPERATORS_PORT": str(operators),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    text = FILE.read_text(encoding="utf-8").replace("{\n", "{\n\tadmin off\n", 1)
    (tmp_path / "Caddyfile").write_text(text, encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")],
            env=env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        where = f"http://127.0.0.1:{public}", f"http://127.0.0.1:{operators}"
        until(
            lambda: all(asked(f"{url}/healthz") == 200 for url in where),
            timeout_s=60,
            what="Caddy to pass requests on",
        )
        yield where
    finally:
        process.terminate()
        process.wait(60)
        server.shutdown()
        server.server_close()


def asked(url: str, data: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(url, data, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        e.close()
        return e.code
    except (urllib.error.URLError, ConnectionError):
        return 0


def test_operator_routes_are_not_public(proxy: tuple[str, str]) -> None:
    public, operators = proxy
    for path in ("/metrics", "/metrics/", "/docs", "/docs.css", "/openapi.json", "/readyz"):
        assert asked(public + path) == 404, path
        assert asked(operators + path) == 200, path
    for path in ("/healthz", "/v1/alerts/x", "/aB3dE6gH", "/webhooks/twilio/status?delivery=1"):
        assert asked(public + path) == 200, path


def test_body_size_is_limited(proxy: tuple[str, str]) -> None:
    public, _ = proxy
    assert asked(f"{public}/v1/alerts", b"x" * 2_000_000) == 200
    assert asked(f"{public}/v1/alerts", b"x" * 4_000_000) in {0, 413, 502}
