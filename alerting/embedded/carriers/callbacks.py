"""Posts signed status callbacks, as Twilio does, without holding up the API.

Source: Twilio's "Security" page (X-Twilio-Signature) and "Track outbound message status".
"""

from __future__ import annotations

import asyncio
import heapq
import hmac
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from alerting.background import end
from alerting.embedded.carriers.faults import Desk
from alerting.embedded.carriers.messages import Message
from alerting.observe.logs import logger

log = logger(__name__)

#: Concurrent posts, each on a persistent connection.
_WORKERS = 32
#: Messages that wait for a callback; beyond this the receiver is so far behind that they are lost.
_WAITING = 500_000
#: How long a receiver may take to answer, as with Twilio.
_TIMEOUT_S = 15.0
#: A callback the receiver did not accept (no answer, 429, 5xx) is posted again after these seconds.
RETRY_S = (1.0, 2.0, 4.0, 8.0)


def signature(token: str, url: str, form: dict[str, str]) -> str:
    """HMAC-SHA1 over the URL and then every field's name and value, by name; base64."""
    said = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.digest(token.encode(), said.encode(), "sha1")).decode()


@dataclass(frozen=True, slots=True)
class _Due:
    """The next callback of a message, and the statuses that are still to come after it.

    Attributes:
        key: Names this callback in every try and duplicate of it.
    """

    message: Message
    status: str
    later: tuple[str, ...]
    key: str
    tried: int = 0


class Callbacks:
    """Takes messages with a callback address and posts `sent` and then their last status.

    The order holds for one message unless a fault reverses it or a retry overtakes. A callback
    that is refused with another 4xx, or not taken in five tries, is given up. What still waits
    when it is closed is dropped and counted.
    """

    def __init__(self, account: str, token: str, desk: Desk) -> None:
        self._account = account
        self._token = token
        self._desk = desk
        self._heap: list[tuple[float, int, _Due]] = []
        self._ids = count()
        self._early = asyncio.Event()
        self._ready: asyncio.Queue[_Due] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self._working = 0
        self.posted = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Messages whose last callback has not been posted."""
        return len(self._heap) + self._ready.qsize() + self._working

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_WORKERS, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "TwilioProxy/1.1", "Accept": "*/*"},
        )
        self._tasks = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]
        self._tasks.append(asyncio.create_task(self._pump()))

    async def close(self) -> None:
        self.dropped += self.waiting
        await end(*self._tasks)
        if self._session is not None:
            await self._session.close()
        if self.dropped:
            log.warning("carriers.callbacks_dropped", callbacks=self.dropped)

    def promise(self, message: Message, *, reversed_order: bool) -> None:
        """Start a message's callbacks; never waits."""
        if self.waiting >= _WAITING:
            self.dropped += 1
            return
        order = ("sent", message.final)
        first, *later = reversed(order) if reversed_order else order
        self._put(_Due(message, first, tuple(later), f"{message.sid}-{first}"))

    def _put(self, due: _Due, *, after_s: float = 0.0) -> None:
        at = due.message.sent_at if due.status == "sent" and due.later else due.message.done_at
        at = max(at, time.time() + after_s)
        heapq.heappush(self._heap, (at, next(self._ids), due))
        if self._heap[0][2] is due:
            self._early.set()

    async def _pump(self) -> None:
        """Pass on callbacks that are due, and sleep until the next."""
        while True:
            now = time.time()
            while self._heap and self._heap[0][0] <= now:
                self._ready.put_nowait(heapq.heappop(self._heap)[2])
            self._early.clear()
            wait_s = self._heap[0][0] - now if self._heap else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._early.wait()

    async def _work(self) -> None:
        while True:
            due = await self._ready.get()
            self._working += 1
            try:
                await self._attend(due)
            finally:
                self._working -= 1

    async def _attend(self, due: _Due) -> None:
        """Post one callback, then see to the next of its message, or to another try."""
        taken = await self._post(due)
        if taken is None and due.tried < len(RETRY_S):
            self._put(replace(due, tried=due.tried + 1), after_s=RETRY_S[due.tried])
            return
        if taken is None:
            self.dropped += 1
        elif taken and self._desk.strikes(self._desk.faults.sms.callback_duplicate_rate):
            await self._post(due)
        if due.later:
            status, *later = due.later
            self._put(_Due(due.message, status, tuple(later), f"{due.message.sid}-{status}"))

    async def _post(self, due: _Due) -> bool | None:
        """True when the receiver took it, False when it refused for good, None to try again."""
        if self._session is None:
            return None
        message = due.message
        form = {
            "AccountSid": self._account,
            "ApiVersion": "2010-04-01",
            "From": message.sender,
            "MessageSid": message.sid,
            "MessageStatus": due.status,
            "SmsSid": message.sid,
            "SmsStatus": due.status,
            "To": message.to,
        }
        if message.service:
            form["MessagingServiceSid"] = message.service
        if due.status != "sent":
            form["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime(message.done_at))
            if message.error_code:
                form["ErrorCode"] = str(message.error_code)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": signature(self._token, message.callback, form),
            "I-Twilio-Idempotency-Token": due.key,
        }
        try:
            async with self._session.post(
                # The very characters that were signed, not an equivalent spelling of them.
                URL(message.callback, encoded=True),
                data=urlencode(form).encode(),
                headers=headers,
                allow_redirects=False,
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        self.posted += 1
        if status == 429 or status >= 500:
            return None
        return status < 400
