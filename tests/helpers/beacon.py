"""A channel of a test's own: beacons that light up and show one line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from alerting.channels.base import UNREACHABLE, Outcome, Outgoing
from alerting.channels.spec import (
    Address,
    BadAddress,
    ChannelSpec,
    Digest,
    Layout,
    Provider,
    ReadBy,
    Report,
)
from alerting.channels.text.content import Content
from alerting.domain.delivery import DeliveryState

_NAME = re.compile(r"[A-Z]{3}-\d{3}")
_REPORTS = {
    "lit": Report(DeliveryState.DELIVERED),
    "dark": Report(DeliveryState.FAILED, UNREACHABLE),
}


@dataclass
class Beacons:
    """All beacons; keeps what they show."""

    name: str = "beacon"
    concurrency: int = 4
    can_be_silent: bool = False
    shown: list[Outgoing] = field(default_factory=list)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, message: Outgoing) -> Outcome:
        self.shown.append(message)
        return Outcome(message.delivery_id, provider_ref=f"lamp-{message.delivery_id}")


def _parse(value: str, *, allow_loopback: bool = False) -> Address:
    if not _NAME.fullmatch(value.upper()):
        raise BadAddress(f"{value!r} names no beacon.", remedy="Write it as ABC-001.")
    return Address(value.upper())


def _render(content: Content, read_by: ReadBy) -> Layout:
    return Layout("", content.title())


def _render_digest(digest: Digest) -> Layout:
    return Layout("", " / ".join(c.title() for c in digest.contents))


def beacon(beacons: Beacons) -> ChannelSpec:
    """The channel that lights these."""
    return ChannelSpec(
        name="beacon",
        order=9,
        can_be_silent=False,
        wakes=True,
        reports_delivery=True,
        parse_address=_parse,
        mask=lambda endpoint: f"{endpoint[:3]}-…",
        render=_render,
        render_digest=_render_digest,
        providers=lambda setup: [Provider("beacon.1", beacons)],
        read_report=lambda status, code: _REPORTS.get(status),
        per_second=1_000,
    )
