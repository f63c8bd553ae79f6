"""A bare loop: the same requests as fast as one process can post them, and nothing noted.

Run as `python -m lab.bench.baselines.bare_http URL COUNT CONCURRENCY BODY`; prints the seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from urllib.parse import urlencode

import aiohttp
import uvloop


async def post(url: str, count: int, concurrency: int, text: str) -> float:
    """Post `count` messages; returns the seconds it took."""
    path = f"{url}/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic eDp4",
        "Accept": "application/json",
    }
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=concurrency)

    async def worker(session: aiohttp.ClientSession) -> None:
        for n in numbers:
            form = {"To": f"+999{n:09d}", "From": "+447700900000", "Body": text}
            async with session.post(path, data=urlencode(form).encode()) as answer:
                await answer.read()

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        start = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))
        return time.perf_counter() - start


def main() -> None:
    url, count, concurrency, text = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(f"{runner.run(post(url, int(count), int(concurrency), text))}\n")


if __name__ == "__main__":
    main()
