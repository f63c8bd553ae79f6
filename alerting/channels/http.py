"""One HTTP call to a provider, with the one thing a dispatcher must know: may it have been taken?

Shared by the channels that speak HTTP. The transport never retries: a repeated POST is a repeated
message, and whether to repeat is the dispatcher's decision.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from aiohttp.payload import BytesPayload
from yarl import URL

from alerting.channels.base import AMBIGUOUS, PROVIDER_DOWN, ErrorClass

#: Providers answer in a few hundred bytes; a longer body is an attack or not the provider.
MAX_ANSWER_BYTES = 65_536
#: A page of what it took before is longer.
MAX_PAGE_BYTES = 1_000_000
#: Longer waits are left to the breaker; a provider cannot park an alert for hours.
MAX_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `whole` is False where the body broke off or was longer than allowed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def retry_after_s(self) -> float | None:
        return retry_after_s(self.headers.get("Retry-After", ""))


class NoAnswer(Exception):
    """No status line came back. `error` says whether the message may have been taken.

    Carries neither the address called nor the library's message, which may hold it.
    """

    def __init__(self, error: ErrorClass, code: str) -> None:
        super().__init__(code)
        self.error = error
        self.code = code


class HttpClient:
    """A pool of at most `concurrency` connections, made on the running loop by `open()`."""

    def __init__(
        self,
        *,
        timeout_s: float,
        concurrency: int,
        resolver: Callable[[], AbstractResolver] | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=timeout_s / 2)
        self._concurrency = concurrency
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool; again is nothing."""
        if self._session is not None:
            return
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._concurrency,
                ttl_dns_cache=300,
                resolver=self._resolver() if self._resolver else None,
            ),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            raise_for_status=False,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Drop every connection; a closed client can be opened again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, url: str | URL, data: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once and return whatever status came back, redirects included.

        url: sent as it is, so its characters are those an encoded address may have.
        Raises NoAnswer: PROVIDER_DOWN where nothing of the request was written, AMBIGUOUS where
        it was and the connection then broke or fell silent.
        """
        if self._session is None:
            raise RuntimeError("The channel was used before it was opened.")
        # Let the rest of a window be made first: made and called in turn each costs more, for
        # neither finds its code in the processor's cache. Nothing is written before the loop is
        # free in any case.
        await asyncio.sleep(0)
        body = _Body(data)
        try:
            async with self._session.post(
                _as_given(url),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                read, whole = await _read(response)
                return Answer(response.status, response.headers, read, whole)
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            timed_out = isinstance(e, TimeoutError)
            if body.handed_over:
                code = "timeout" if timed_out else "disconnect"
                raise NoAnswer(AMBIGUOUS, code) from None
            code = "connect-timeout" if timed_out else "connect"
            raise NoAnswer(PROVIDER_DOWN, code) from None

    async def get(self, url: str | URL, headers: Mapping[str, str]) -> Answer:
        """Ask once. Raises NoAnswer where no status line came back; nothing was changed then."""
        if self._session is None:
            raise RuntimeError("The channel was used before it was opened.")
        try:
            async with self._session.get(
                _as_given(url),
                headers=headers,
                allow_redirects=False,
            ) as response:
                read, whole = await _read(response, MAX_PAGE_BYTES)
                return Answer(response.status, response.headers, read, whole)
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            code = "timeout" if isinstance(e, TimeoutError) else "connect"
            raise NoAnswer(PROVIDER_DOWN, code) from None


class _Body(BytesPayload):
    """A request body that knows whether any of it went out; without it no request is taken."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.handed_over = False

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self.handed_over = True
        await super().write_with_length(writer, content_length)


def _as_given(url: str | URL) -> URL:
    """The very characters given: a query may hold an encoded plus."""
    return url if isinstance(url, URL) else URL(url, encoded=True)


async def _read(
    response: aiohttp.ClientResponse, limit: int = MAX_ANSWER_BYTES
) -> tuple[bytes, bool]:
    """Read up to the cap. A status already seen is evidence, so a broken body is no error here."""
    body, content = b"", response.content
    try:
        # Nearly always all of it is there by now, and in one piece.
        while not content.at_eof():
            body += await content.readany()
            if len(body) > limit:
                response.close()
                return body[:limit], False
    except (aiohttp.ClientError, TimeoutError, OSError):
        return body, False
    return body, True


def server_failure(status: int) -> ErrorClass:
    """Class a 5xx: only 503 says that the work was not begun; the others may follow acceptance."""
    return PROVIDER_DOWN if status == 503 else AMBIGUOUS


def retry_after_s(value: str, now: datetime | None = None) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; None where it says nothing usable."""
    try:
        wait_s = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        # A date "-0000" parses as naive; HTTP dates are always UTC (RFC 9110 §5.6.7).
        wait_s = (at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(wait_s) else None
