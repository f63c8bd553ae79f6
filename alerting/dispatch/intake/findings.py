"""Findings: weaknesses of an alert that its document alone shows, for its coordinator.

`alerting cap check` reports them, and a submission has the important ones in its notes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from alerting.cap import Finding, Findings, check
from alerting.clock import Clock
from alerting.domain.alert import Alert
from alerting.domain.segments import Segments, measure

#: An SMS of more segments is reported as long.
_MANY_SEGMENTS = 3
#: The most messages rendered to measure them.
_LAID_OUT = 200
#: The most findings in the answer to a submission.
_MOST = 50
#: As long as an alert's code in short links.
_CODE = "xxxxxxxx"

_RANK = ("error", "warning", "note").index


def findings(alert: Alert, *, clock: Clock, public_url: str) -> tuple[Findings, list[Segments]]:
    """Return every weakness of an alert, the most serious first, and the size of each info's SMS.

    The size is that of the longest SMS to readers of the info's own language.
    """
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
    """Return the size of an info's SMS, for the area that makes it longest."""
    # Imported here: a cancel does not need the renderer.
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
    """The notes in the answer to a submission on the alert's own text."""
    # In a thread: a large document would block the event loop for a while.
    found = (await asyncio.to_thread(check, alert, now)).findings
    said = [str(f) for f in found if f.level != "note"]
    more = len(said) - _MOST
    if more <= 0:
        return said
    return [*said[:_MOST], f"And {more} more: alerting cap check lists them all."]
