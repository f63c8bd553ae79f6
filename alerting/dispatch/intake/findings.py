"""Findings: what a coordinator should know of an alert before it is sent, by its words alone.

A submission says in its notes what `alerting cap check` reports.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from alerting.cap import Finding, Findings, check
from alerting.clock import Clock
from alerting.domain.alert import Alert
from alerting.domain.segments import Segments, measure

#: More than these are said to be many.
_MANY_SEGMENTS = 3
#: So many messages are laid out to see how long they are.
_LAID_OUT = 200
#: The answer to a submission says no more of them.
_MOST = 50
#: As long as what names an alert in short links.
_CODE = "xxxxxxxx"

_RANK = ("error", "warning", "note").index


def findings(alert: Alert, *, clock: Clock, public_url: str) -> tuple[Findings, list[Segments]]:
    """Every weakness of an alert, gravest first, and for each info what it takes as an SMS to
    whoever reads its language, at the most."""
    found = check(alert, clock.now())
    sizes = [sms_size(alert, no, public_url=public_url) for no in range(len(alert.infos))]
    long = [
        Finding(
            "note",
            f"info[{no}]",
            f"As an SMS it takes {size.count} segments ({size.encoding}).",
            "Shorten it: each segment costs time and money, and what is longer is cut.",
        )
        for no, size in enumerate(sizes, 1)
        if size.count > _MANY_SEGMENTS
    ]
    every = sorted([*found.findings, *long], key=lambda f: _RANK(f.level))
    return replace(found, findings=tuple(every)), sizes


def sms_size(alert: Alert, info_no: int, *, public_url: str) -> Segments:
    """What the SMS of an info takes, in the area for which it takes most."""
    # A cancel does without what lays out messages.
    from alerting.channels.render import render

    info = alert.infos[info_no]
    most = max(1, min(_LAID_OUT // len(alert.infos), len(info.areas)))
    texts = (
        render(
            alert,
            info_no=info_no,
            area_no=area_no,
            channel="sms",
            language=info.language,
            link=f"{public_url}/{_CODE}",
        ).text
        for area_no in range(most)
    )
    return max((measure(text) for text in texts), key=lambda size: (size.count, size.units))


async def notes_on(alert: Alert, *, now: datetime) -> list[str]:
    """What the answer to a submission says of an alert's own words."""
    # In a thread: of a large document it takes a while, and others wait for this loop.
    found = (await asyncio.to_thread(check, alert, now)).findings
    said = [str(f) for f in found if f.level != "note"]
    more = len(said) - _MOST
    return said if more <= 0 else [*said[:_MOST], f"And {more} more: alerting cap check says all."]
