"""pywebpush in a loop: its `webpush()` for each subscription, on one session that stays open.

Run as `python -m lab.bench.baselines.pywebpush_loop SUBSCRIPTIONS PEM MESSAGE`: a file with a
subscription a line, our key, and the JSON that each is sent with a number of its own. Prints the
seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import requests
from py_vapid import Vapid
from pywebpush import webpush


def post(subscriptions: list[dict[str, Any]], key: Vapid, message: dict[str, Any]) -> float:
    """Send to each; returns the seconds it took. Raises for an answer that is not 2xx."""
    # It fills in audience and end, and finds them again; the token is signed at every call.
    claims = {"sub": "mailto:alerts@example.org"}
    headers = {"Urgency": "high", "Topic": message["tag"]}
    with requests.Session() as session:
        start = time.perf_counter()
        for n, subscription in enumerate(subscriptions):
            webpush(
                subscription,
                json.dumps(message | {"delivery": n}, ensure_ascii=False),
                vapid_private_key=key,
                vapid_claims=claims,
                ttl=86400,
                headers=headers,
                requests_session=session,
            )
        return time.perf_counter() - start


def main() -> None:
    file, pem, message = sys.argv[1:]
    subscriptions = [json.loads(line) for line in Path(file).read_text("ascii").splitlines()]
    key = Vapid.from_pem(Path(pem).read_bytes())
    sys.stdout.write(f"{post(subscriptions, key, json.loads(message))}\n")


if __name__ == "__main__":
    main()
