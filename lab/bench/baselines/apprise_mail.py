"""Apprise with its throttle set to zero: a notification to each address, one after the other.

Run as `python -m lab.bench.baselines.apprise_mail PORT COUNT BODY`; prints the seconds.
"""

from __future__ import annotations

import sys
import time

from apprise import Apprise
from apprise.plugins.email.base import NotifyEmail


def main() -> None:
    port, count, text = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    NotifyEmail.request_rate_per_sec = 0
    where = f"mailto://127.0.0.1:{port}?mode=insecure&from=alerts@example.org&format=text"
    start = time.perf_counter()
    for n in range(count):
        one = Apprise()
        if not one.add(f"{where}&to=c{n}@example.org") or not one.notify(
            title="Storm surge: leave the waterfront now", body=text
        ):
            sys.exit(f"Apprise did not send mail {n}.")
    sys.stdout.write(f"{time.perf_counter() - start}\n")


if __name__ == "__main__":
    main()
