"""A CAP `alert` element → Alert, mending what a person would understand anyway.

Never guessed: who speaks (identifier, sender, sent), whether it is real (status), and what it
does (msgType). Anything else that is missing or misspelt is repaired, and the repair is noted.
"""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo

from lxml import etree

from alerting.cap import dates, lists, values
from alerting.cap.elements import Bag, note_namespace
from alerting.cap.errors import CapError
from alerting.cap.infos import info_of
from alerting.cap.names import split
from alerting.cap.notes import Notes
from alerting.domain.alert import Alert, MsgType, Scope, Status

_DATED = ("sent", "effective", "onset", "expires")


def alert_of(element: etree._Element, mends: tuple[str, ...] = ()) -> Alert:
    """Read one alert; `mends` are the document's own. Raise CapError where it is not usable."""
    notes = Notes()
    notes.repair("document", *mends)
    note_namespace(element, notes)
    bag = Bag(element, "alert", "", notes)
    zone = _offset_used(element)
    identifier, sender, sent = _identity(bag, zone)
    whose = f"alert {identifier[:80]!r}"
    status = values.required(bag, Status, "status", whose)
    msg_type = _msg_type(bag, status, whose)
    infos = [info_of(child, n, notes, zone) for n, child in enumerate(bag.all("info"), 1)]
    references, remarks = lists.references(bag.text("references", join=" ") or "", zone)
    notes.remark("references", remarks)
    alert = Alert(
        identifier=identifier,
        sender=sender,
        sent=sent,
        status=status,
        msg_type=msg_type,
        scope=_scope(bag, whose),
        source=bag.text("source") or None,
        restriction=bag.text("restriction") or None,
        addresses=lists.names(bag.text("addresses", join=" ") or ""),
        codes=tuple(code for code in bag.texts("code") if code),
        note=bag.text("note", join="\n") or None,
        references=references,
        incidents=lists.names(bag.text("incidents", join=" ") or ""),
        infos=tuple(info for info in infos if info is not None),
        repairs=notes.repairs,
        remarks=notes.remarks,
    )
    refuse_silent(alert)
    return alert


def refuse_silent(alert: Alert) -> None:
    """Raise CapError for an Alert or Update that says nothing; the other types may."""
    if alert.msg_type in (MsgType.ALERT, MsgType.UPDATE) and not alert.infos:
        raise CapError(
            f"The alert {alert.identifier[:80]!r} says nothing: it has no info with an event, "
            "headline or description.",
            remedy=f"A message of type {alert.msg_type} must carry at least one info.",
        )


def _identity(bag: Bag, zone: tzinfo | None) -> tuple[str, str, datetime]:
    identifier, sender, sent = bag.text("identifier"), bag.text("sender"), bag.text("sent")
    if not identifier or not sender or not sent:
        triple = {"identifier": identifier, "sender": sender, "sent": sent}
        missing = " and no ".join(name for name, value in triple.items() if not value)
        named = f" {identifier[:80]!r}" if identifier else ""
        raise CapError(
            f"The alert{named} has no {missing}.",
            remedy="Identifier, sender and sent together name an alert; it needs all three.",
        )
    at = values.moment(bag, "sent", zone)
    if at is None:
        raise CapError(
            f"The alert {identifier[:80]!r} was sent at {sent[:60]!r}, which is no usable time.",
            remedy="Write it like 2026-11-01T10:00:00+01:00.",
        )
    return identifier, sender, at


def _msg_type(bag: Bag, status: Status, whose: str) -> MsgType:
    if values.plain(bag.text("msgType") or "") != "test":
        return values.required(bag, MsgType, "msgType", whose)
    # Said in the wrong place, it is understood only where the right place agrees.
    if status is not Status.TEST:
        raise CapError(
            f"The {whose} has msgType 'Test' and status {status.value!r}: nobody can tell whether "
            "it is real.",
            remedy="Say Test or Exercise in status, and Alert, Update or Cancel in msgType.",
        )
    bag.notes.repair("msgType", "'Test' read as Alert; status says it is a test")
    return MsgType.ALERT


def _scope(bag: Bag, whose: str) -> Scope:
    if bag.text("scope"):
        return values.required(bag, Scope, "scope", whose)
    scope = Scope.PUBLIC
    if bag.text("restriction"):
        scope = Scope.RESTRICTED
    if bag.text("addresses"):
        scope = Scope.PRIVATE
    bag.notes.repair("scope", f"missing; read as {scope}")
    return scope


def _offset_used(element: etree._Element) -> tzinfo | None:
    """The offset this alert's sender writes, for those of its times that lack one."""
    # Two levels hold all of CAP's times; going deeper would let nested alerts cost too much.
    for child in (*element, *(below for parent in element for below in parent)):
        if split(str(child.tag))[1] in _DATED and (moment := dates.parse(child.text or "")):
            offset = moment.at.utcoffset() if moment.at else None
            if offset is not None:
                return timezone(offset)
    return None
