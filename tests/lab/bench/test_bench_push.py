"""The push bench runs in its smallest size, and its judge finds a bad message among good ones."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from alerting.channels.push import vapid
from alerting.errors import WorkFailed
from lab.bench.baselines import bare_push
from lab.bench.command import bench
from lab.bench.stubs.push_phones import Text, judge, subscribe
from lab.bench.stubs.push_service import push_service

pytestmark = pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="there is no nginx to stand in for the push service: make bench-deps",
)

PEM = vapid.generate()
FLOOD = Text("Flood", "Go uphill.")
GOOD = {"title": "Flood", "body": "Port Example\nGo uphill.", "delivery": 100}


def test_push_end_to_end_beside_alternatives() -> None:
    done = CliRunner().invoke(bench, ["push", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    push = json.loads(done.stdout)["benches"]["push"]
    assert set(push["per_second"]) == {
        "ours",
        "pywebpush in a loop",
        "bare crypto and aiohttp loop",
    }
    assert all(rate > 0 for rates in push["per_second"].values() for rate in rates)


def judged(
    folder: Path,
    *,
    order: tuple[int, ...] = tuple(range(1, 101)),
    message: object = GOOD,
    keys_of: int = 100,
    origin: str = "",
    body: bytes = b"",
) -> None:
    """Have a hundred subscriptions' messages judged; the hundredth, which is read, is as given."""
    with push_service(folder) as service:
        phones = list(subscribe(service.url, 100))
        headers = {
            "Authorization": bare_push.authorization(PEM, origin or service.url),
            "Content-Encoding": "aes128gcm",
            "TTL": "60",
        }
        client = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=10)
        for n in order:
            keys = phones[(keys_of if n == 100 else n) - 1][1]
            sent = bare_push.encrypt(json.dumps(message).encode(), keys["p256dh"], keys["auth"])
            client.request("POST", f"/push/c{n}", body if n == 7 and body else sent, headers)
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (201, b"")
        client.close()
    judge(service, 100, [FLOOD])


def test_judge_accepts_one_readable_message_each(tmp_path: Path) -> None:
    judged(tmp_path)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"order": tuple(range(2, 101))}, "took 99 of 100"),
        ({"order": (*range(1, 101), 5)}, "1 twice"),
        ({"body": b"Go uphill."}, "of 10 bytes"),
        ({"keys_of": 99}, "cannot be read"),
        ({"origin": "https://push.example.org"}, "would not know the sender"),
        ({"message": GOOD | {"body": "Port Example"}}, "say something else"),
        ({"message": []}, "is no object"),
    ],
)
def test_judge_refuses_one_bad_message(tmp_path: Path, fault: dict[str, object], says: str) -> None:
    with pytest.raises(WorkFailed, match=says):
        judged(tmp_path, **fault)  # type: ignore[arg-type]


def test_no_two_citizens_share_a_key() -> None:
    keys = [json.dumps(keys) for _, keys in subscribe("http://127.0.0.1:1", 50)]
    assert len(set(keys)) == 50
