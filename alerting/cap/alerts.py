"""A CAP `alert` element → Alert, repairing what a person would understand anyway.

Never guessed: who speaks (identifier, sender, sent), whether it is real (status), what it does
(msgType) and, if it says so, whom it is for (scope). Anything else that is missing or misspelt is
repaired, and the repair is noted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone, tzinfo

from lxml import etree

from alerting.cap import dates, document, lists, strict, values
from alerting.cap.elements import Bag, note_namespace, split
from alerting.cap.infos import info_of
from alerting.cap.report import CapError, Notes
from alerting.domain.alert import Alert, MsgType, Scope, Status

_SCOPES = "Say Public, Restricted or Private."
_DATED = ("sent", "effective", "onset", "expires")


def alert_of(element: etree._Element, mends: tuple[str, ...] = ()) -> Alert:
    """Read one alert; `mends` are the document's repairs.

    Raises:
        CapError: When it is not usable.
    """
    notes = Notes()
    notes.repair("document", *mends)
    if document.TEXT_BEFORE in mends:
        notes.ask("document", "there is text before the XML", "Send the XML alone.")
    note_namespace(element, notes)
    bag = Bag(element, "alert", "", notes)
    zone = _offset_used(element)
    identifier, sender, sent = _identity(bag, zone)
    whose = f"alert {identifier[:80]!r}"
    status = values.required(bag, Status, "status", whose)
    msg_type = _msg_type(bag, status, whose)
    infos = [info_of(child, n, notes, zone) for n, child in enumerate(bag.all("info"), 1)]
    scope = _scope(bag, whose)
    named = lists.references(
        bag.text("references", join=" ", inner=" ") or "", zone=zone, sender=sender
    )
    notes.remark("references", named.remarks)
    alert = Alert(
        identifier=identifier,
        sender=sender,
        sent=sent,
        status=status,
        msg_type=msg_type,
        scope=scope,
        source=bag.text("source") or None,
        restriction=bag.text("restriction") or None,
        addresses=lists.names(bag.text("addresses", join=" ") or ""),
        codes=tuple(code for code in bag.texts("code") if code),
        note=bag.text("note", join="\n") or None,
        references=named.whole,
        incidents=lists.names(bag.text("incidents", join=" ") or ""),
        infos=tuple(info for info in infos if info is not None),
        repairs=notes.repairs,
        remarks=notes.remarks,
        loose_references=named.loose,
        unclear=notes.unclear,
    )
    refuse_silent(alert)
    return remarked(alert)


def remarked(alert: Alert) -> Alert:
    """The alert with the remark that it is read as Public although it names recipients."""
    unclear = strict.public_but(alert)
    if unclear is None or unclear in alert.remarks:
        return alert
    return replace(alert, remarks=(unclear, *alert.remarks))


def refuse_silent(alert: Alert) -> None:
    """Raise CapError for an Alert or Update without content; the other types may be empty."""
    if alert.msg_type in (MsgType.ALERT, MsgType.UPDATE) and not alert.infos:
        raise CapError(
            f"The alert {alert.identifier[:80]!r} says nothing: it has no info with an event, "
            "headline or description.",
            remedy=f"A message of type {alert.msg_type} must carry at least one info.",
        )


def _identity(bag: Bag, zone: tzinfo | None) -> tuple[str, str, datetime]:
    identifier = bag.sole("identifier")
    whose = f"alert {identifier[:80]!r}" if identifier else "alert"
    sender, sent = bag.sole("sender", whose), bag.sole("sent", whose)
    if not identifier or not sender or not sent:
        triple = {"identifier": identifier, "sender": sender, "sent": sent}
        missing = " and no ".join(name for name, value in triple.items() if not value)
        raise CapError(
            f"The {whose} has no {missing}.",
            remedy="Identifier, sender and sent together name an alert; it needs all three.",
        )
    at = values.moment(bag, "sent", zone)
    if at is None:
        raise CapError(
            f"The {whose} was sent at {sent[:60]!r}, which is no usable time.",
            remedy=values.LIKE,
        )
    return identifier, sender, at


def _msg_type(bag: Bag, status: Status, whose: str) -> MsgType:
    if bag.sole("msgType", whose, word=True).lower() != "test":
        return values.required(bag, MsgType, "msgType", whose)
    # In the wrong element, it is used only when the right element agrees.
    if status is not Status.TEST:
        raise CapError(
            f"The {whose} has msgType 'Test' and status {status.value!r}: nobody can tell whether "
            "it is real.",
            remedy="Say Test or Exercise in status, and Alert, Update or Cancel in msgType.",
        )
    bag.notes.repair("msgType", "'Test' read as Alert; status says it is a test")
    return MsgType.ALERT


def _scope(bag: Bag, whose: str) -> Scope:
    if bag.sole("scope", whose, word=True):
        return values.required(bag, Scope, "scope", whose)
    scope = Scope.PUBLIC
    if bag.text("restriction"):
        scope = Scope.RESTRICTED
    if bag.text("addresses"):
        scope = Scope.PRIVATE
    bag.notes.repair("scope", f"missing; read as {scope}")
    bag.notes.ask("scope", "there is no scope, so it does not say for whom it is", _SCOPES)
    return scope


def _offset_used(element: etree._Element) -> tzinfo | None:
    """The offset this alert's sender writes, for those of its times that lack one."""
    # Two levels hold all of CAP's times; nested alerts would make more levels expensive.
    for child in (*element, *(below for parent in element for below in parent)):
        if split(str(child.tag))[1] in _DATED and (moment := dates.parse(child.text or "")):
            offset = moment.at.utcoffset() if moment.at else None
            if offset is not None:
                return timezone(offset)
    return None
