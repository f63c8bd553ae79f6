"""The message resources of the Twilio-shaped account: made, kept a while, looked up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate

#: Resources that can be looked up; the oldest make room. The log has them all.
_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS. Its course is settled when it is accepted; instants are seconds since 1970.

    Attributes:
        final: The status from `done_at` on: `delivered`, or `undelivered` or `failed` with its
            code.
    """

    sid: str
    to: str
    sender: str
    service: str
    body: str
    segments: int
    created_at: float
    sent_at: float
    done_at: float
    final: str
    error_code: int | None = None
    callback: str = ""

    def status(self, now: float) -> str:
        if now >= self.done_at:
            return self.final
        if now >= self.sent_at:
            return "sent"
        return "accepted" if self.service else "queued"

    def resource(self, account: str, now: float, *, status: str = "") -> dict[str, object]:
        """As the API shows it."""
        status = status or self.status(now)
        fresh = status in {"queued", "accepted"}
        over = status == self.final
        uri = f"/2010-04-01/Accounts/{account}/Messages/{self.sid}"
        changed_at = self.created_at if fresh else self.done_at if over else self.sent_at
        return {
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": _rfc2822(self.created_at),
            "date_sent": None if fresh else _rfc2822(self.sent_at),
            "date_updated": _rfc2822(changed_at),
            "direction": "outbound-api",
            "error_code": self.error_code if over else None,
            "error_message": None,
            "from": self.sender or None,
            "messaging_service_sid": self.service or None,
            "num_media": "0",
            "num_segments": str(self.segments),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


class Messages:
    """The last resources by SID, and by number."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Message] = {}
        self._by_to: dict[str, dict[str, Message]] = {}

    def add(self, message: Message) -> None:
        self._by_sid[message.sid] = message
        self._by_to.setdefault(message.to, {})[message.sid] = message
        if len(self._by_sid) > _KEPT:
            oldest = self._by_sid.pop(next(iter(self._by_sid)))
            same_number = self._by_to[oldest.to]
            del same_number[oldest.sid]
            if not same_number:
                del self._by_to[oldest.to]

    def get(self, sid: str) -> Message | None:
        return self._by_sid.get(sid)

    def find(
        self, *, to: str = "", sender: str = "", since: float = 0.0, before: float = float("inf")
    ) -> Iterator[Message]:
        """Newest first; an empty filter lets all through. The span is of the sending instant."""
        among = self._by_to.get(to, {}) if to else self._by_sid
        bounded = since > 0 or before < float("inf")
        now = time.time()
        for message in reversed(among.values()):
            if sender and message.sender != sender:
                continue
            # What has not been sent yet has no DateSent to match.
            if bounded and not since <= message.sent_at < min(before, now):
                continue
            yield message

    def restore(self, lines: Iterable[dict[str, object]]) -> None:
        """Take up what the log holds from an earlier run, each message at the end of its course."""
        for line in lines:
            at = datetime.fromisoformat(str(line["at"])).timestamp()
            error = line.get("error_code")
            self.add(
                Message(
                    sid=str(line["id"]),
                    to=str(line["to"]),
                    sender=str(line["from"]),
                    service=str(line["service"]),
                    body=str(line["body"]),
                    segments=int(str(line["segments"])),
                    created_at=at,
                    sent_at=at,
                    done_at=at,
                    final=str(line["outcome"]),
                    error_code=int(str(error)) if error else None,
                )
            )


def _rfc2822(at: float) -> str:
    # Twilio writes the zone as +0000, the standard library as -0000.
    return formatdate(int(at))[:-5] + "+0000"


def instant(text: str, *, end: bool = False) -> float:
    """A DateSent filter as seconds since 1970; a bare day is its first instant, or past its last.

    Raises:
        ValueError: For what is neither a day nor an ISO 8601 instant.
    """
    at = datetime.fromisoformat(text.replace(" ", "+"))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.timestamp() + (86_400 if end and len(text) == 10 else 0)
