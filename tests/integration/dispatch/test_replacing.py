"""On the phone: which messages may take one another's place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dispatch_harness import DispatchHarness

from alerting.cap import to_xml
from alerting.domain.alert import Alert, MsgType, Severity

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def threads(harness: DispatchHarness, alert: Alert, **changes: object) -> set[str]:
    """Send it now; what the pushes that came of it are known by on the device."""
    sent = harness.clock.now()
    ends = sent + timedelta(hours=8)
    infos = tuple(replace(i, expires=ends, onset=None) for i in alert.infos)
    said = replace(alert, sent=sent, infos=infos)
    before = len(harness.channels["push"].sent)
    await harness.submit(to_xml(replace(said, **changes)), now=False)  # type: ignore[arg-type]
    await harness.due_now()
    await harness.worker().sweep()
    return {m.thread for m in harness.channels["push"].sent[before:]}


async def test_alert_of_another_sender_replaces_nothing(
    harness: DispatchHarness, flood: Alert
) -> None:
    harness.begin_at(NOON)
    (first,) = await threads(harness, flood)
    harness.clock.advance(1200)
    more_severe = tuple(replace(i, severity=Severity.EXTREME) for i in flood.infos)
    flood = replace(flood, infos=more_severe)
    (other,) = await threads(harness, flood, identifier="met-1", sender="met@example.org")
    assert other != first
    harness.clock.advance(1200)
    (update,) = await threads(
        harness,
        flood,
        identifier="v2",
        msg_type=MsgType.UPDATE,
        references=(replace(flood.triple, sent=NOON),),
    )
    assert update == first
