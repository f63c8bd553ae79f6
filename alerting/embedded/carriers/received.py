"""One accepted message, as the log keeps it and the phones show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alerting.embedded.carriers.identity import Carrier


@dataclass(frozen=True, slots=True)
class Received:
    """What a carrier took responsibility for.

    Attributes:
        id: What the carrier named it (message SID, Message-ID, push message path).
        to: Number, mail address or subscription name.
        ref: The sender's delivery id, None where the message carries none.
        title: A mail's subject or a notification's title.
        topic: What of it replaces in the push service, while it waits.
        tag: What it replaces on screen.
        silent: Shown without a sound.
        details: Further fields of this carrier, for the log only.
    """

    at: datetime
    channel: Carrier
    id: str
    to: str
    sender: str
    ref: int | None
    body: str
    title: str = ""
    url: str = ""
    language: str = ""
    topic: str = ""
    tag: str = ""
    silent: bool = False
    segments: int = 0
    details: Mapping[str, str | int | None] = field(default_factory=dict)

    def line(self) -> bytes:
        """The log's line, its end included; pure ASCII, so a text can never tear a line apart."""
        fields: dict[str, str | int | bool | None] = {
            "at": self.at.isoformat(),
            "channel": self.channel,
            "to": self.to,
            "ref": self.ref,
            "id": self.id,
            "sender": self.sender,
            "body": self.body,
        }
        if self.channel == "sms":
            fields["segments"] = self.segments
        elif self.channel == "email":
            fields["subject"] = self.title
        else:
            fields |= {
                "title": self.title, "url": self.url, "lang": self.language, "topic": self.topic,
                "tag": self.tag, "silent": self.silent,
            }  # fmt: skip
        return json.dumps({**fields, **self.details}, separators=(",", ":")).encode() + b"\n"


def tidy(text: str) -> str:
    """The text with every lone surrogate, which no page could carry, made a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
