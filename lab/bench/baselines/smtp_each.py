"""aiosmtplib.send for each message: the library's own one-shot function, a connection each.

Run as `python -m lab.bench.baselines.smtp_each PORT COUNT AT_ONCE BODY`; prints the seconds.
Nothing is noted anywhere.
"""

from __future__ import annotations

import asyncio
import sys
import time
from email.message import EmailMessage

import aiosmtplib
import uvloop


async def post(port: int, count: int, at_once: int, text: str) -> float:
    """Send `count` mails; returns the seconds it took."""
    numbers = iter(range(count))

    async def worker() -> None:
        for n in numbers:
            mail = EmailMessage()
            mail["From"], mail["To"] = "alerts@example.org", f"c{n}@example.org"
            mail["Subject"] = "Storm surge: leave the waterfront now"
            mail.set_content(text)
            await aiosmtplib.send(mail, hostname="127.0.0.1", port=port, start_tls=False)

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return time.perf_counter() - start


def main() -> None:
    port, count, at_once, text = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(f"{runner.run(post(int(port), int(count), int(at_once), text))}\n")


if __name__ == "__main__":
    main()
