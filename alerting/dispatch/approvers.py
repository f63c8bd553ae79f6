"""Approvers: those who may approve a held alert are notified at once that it waits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.channels.staff import Notice, Staff
from alerting.channels.text.texts import clip, one_line
from alerting.domain.alert import Info
from alerting.domain.alert_state import AlertState
from alerting.observe.logs import logger
from alerting.store.admin import stored_alarms
from alerting.store.alerts import stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert

log = logger(__name__)

#: The alarm when addresses of approvers did not accept a notification.
ALARM = "approvers-not-told"

#: An identifier may be long, and an SMS is short.
_NAME = 60

#: A sender's text is cut at this many characters, and its list of areas at this many.
_SHOWN = 200
_AREAS = 10


async def notify(
    connection: AsyncConnection, staff: Staff, *, public_url: str, limit: int
) -> tuple[int, bool]:
    """Notify the approvers of up to `limit` held alerts that they have not been notified of.

    Each is marked as notified in this transaction; after a crash it is sent again. What no address
    accepted is tried again the next time, and opens an alarm until it succeeds.

    Returns how many alerts those were, and whether one reached no address.
    """
    notified = 0
    await stored_alarms.open_of_held(connection)
    for _ in range(limit):
        # One by one: which is next depends on those before.
        alarm = await stored_alarms.next_unnotified(connection)
        if alarm is None:
            break
        stored = await stored_alerts.get(connection, UUID(alarm.subject))
        if stored is None or stored.state is not AlertState.HELD:
            await stored_alarms.close(connection, alarm.kind, alarm.subject, by="system")
            continue
        took = await staff.tell(notice(stored, public_url=public_url))
        if took < len(staff.to):
            sentence = (
                f"{len(staff.to) - took} of {len(staff.to)} addresses in ALERTING_APPROVERS did "
                "not take the news of a held alert; docs/runbooks/held-alert.md."
            )
            await stored_alarms.open_(connection, ALARM, "held alerts", sentence)
        else:
            await stored_alarms.close(connection, ALARM, "held alerts", by="system")
        if not took:
            return notified, True
        await stored_alarms.mark_notified(connection, alarm.id)
        log.info("approvers.told", alert=alarm.subject, count=took)
        notified += 1
    return notified, False


def notice(stored: StoredAlert, *, public_url: str) -> Notice:
    """The text for approvers of a held alert.

    Our own lines with the commands come before everything from the sender, which is limited to the
    rest of a line: nobody can write a command in our name.
    """
    alert = from_json(stored.document)
    mark = f"{alert.status.upper()}: " if alert.is_drill else ""
    info = min(alert.infos, key=lambda i: i.severity.rank, default=None)
    what = f"{info.severity}, {_theirs(info.event)}" if info is not None else str(alert.msg_type)
    headline = _theirs(info.headline) if info is not None else ""
    where = _areas(info) if info is not None else ""
    url = f"{public_url}/v1/alerts/{stored.id}"
    lines = [
        f"{mark}An alert waits for a second person.",
        "",
        f"Read it    {url}/cap",
        f"Let it go  alerting approve {stored.id}   or POST {url}/approval",
        f"Refuse it  alerting cancel {stored.id}   or POST {url}/cancel",
        f"Ends       {_time(stored.expires_at)}; nobody is told of it after that",
        f"Submitted  by {_theirs(stored.submitted_by)}",
        "",
        "What follows is what its sender wrote, and why it waits.",
        "",
        f"Why        {_theirs(stored.state_reason)}",
        f"What       {what}",
        f"Headline   {headline or '-'}",
        f"Where      {where or '-'}",
        f"Sender     {_theirs(alert.sender)}, sent {_time(alert.sent)}",
        f"Named      {_theirs(alert.identifier)}",
    ]
    short = (
        f"{mark}An alert waits for a second person: alerting approve {stored.id}, until "
        f"{_time(stored.expires_at)}. {what}, {_theirs(alert.identifier, _NAME)}"
    )
    return Notice(f"{mark}waits for a second person: {what}", "\n".join(lines) + "\n", short)


def _theirs(text: str | None, most: int = _SHOWN) -> str:
    """Text written by others, on one line and cut short."""
    return clip(one_line(text), most)


def _areas(info: Info) -> str:
    shown = [_theirs(area.area_desc) for area in info.areas[:_AREAS]]
    left = len(info.areas) - len(shown)
    return "; ".join([*shown, f"and {left:,} more"] if left else shown)


def _time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="minutes")
