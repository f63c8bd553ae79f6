"""A CAP `alert` element → Alert, repairing what a person would understand anyway.

Never guessed: who speaks (identifier, sender, sent), whether it is real (status), what it does
(msgType) and, if it says so, whom it is for (scope). Anything else that is missing or misspelt is
repaired, and the repair is noted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone, tzinfo

from lxml import etree

from alerting.cap import dates, document, lists, refusal, shapes, values
from alerting.cap.elements import Bag, note_namespace, split
from alerting.cap.report import CapError, Notes
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)


def info_of(element: etree._Element, number: int, notes: Notes, zone: tzinfo | None) -> Info | None:
    """Read the `number`-th info; None when it has no content. `zone`: see `values.moment`."""
    bag = Bag(element, "info", f"info[{number}]", notes)
    headline, description = bag.text("headline", join="\n"), bag.text("description", join="\n")
    event = bag.text("event")
    if not (event or headline or description):
        notes.repair(bag.where, "no event, headline or description; left out")
        return None
    if event is None:
        event = (headline or description or "")[:200].strip()
        notes.repair(bag.path("event"), "missing; taken from the text")
    return Info(
        categories=_categories(bag),
        event=event,
        urgency=values.graded(bag, Urgency, "urgency"),
        severity=values.graded(bag, Severity, "severity"),
        certainty=values.graded(bag, Certainty, "certainty"),
        language=values.language(bag),
        response_types=values.several(bag, ResponseType, "responseType"),
        audience=bag.text("audience") or None,
        event_codes=values.pairs(bag, "eventCode"),
        effective=values.moment(bag, "effective", zone),
        onset=values.moment(bag, "onset", zone),
        expires=values.moment(bag, "expires", zone),
        sender_name=bag.text("senderName") or None,
        headline=headline or None,
        description=description or None,
        instruction=bag.text("instruction", join="\n") or None,
        web=values.uri(bag, "web"),
        contact=bag.text("contact", join="\n") or None,
        parameters=values.pairs(bag, "parameter"),
        resources=tuple(
            _resource(child, bag.path("resource", n), notes)
            for n, child in enumerate(bag.all("resource"), 1)
        ),
        areas=tuple(
            _area(child, bag.path("area", n), notes) for n, child in enumerate(bag.all("area"), 1)
        ),
    )


def _categories(bag: Bag) -> tuple[Category, ...]:
    found = values.several(bag, Category, "category", otherwise=Category.OTHER)
    if not found:
        bag.notes.repair(bag.path("category"), "missing; read as Other")
    return found or (Category.OTHER,)


def _resource(element: etree._Element, where: str, notes: Notes) -> Resource:
    bag = Bag(element, "resource", where, notes)
    uri = values.uri(bag, "uri")
    described, mime_type = bag.text("resourceDesc"), bag.text("mimeType")
    if described is None:
        described = uri or ""
        notes.repair(bag.path("resourceDesc"), "missing; the address stands for it")
    if mime_type is None:
        mime_type = "application/octet-stream"
        notes.repair(bag.path("mimeType"), f"missing; read as {mime_type}")
    return Resource(
        resource_desc=described,
        mime_type=mime_type,
        size=values.integer(bag, "size"),
        uri=uri,
        deref_uri=bag.text("derefUri") or None,
        digest=bag.text("digest") or None,
    )


def _area(element: etree._Element, where: str, notes: Notes) -> Area:
    bag = Bag(element, "area", where, notes)
    geocodes = values.pairs(bag, "geocode")
    described = bag.text("areaDesc", join="; ")
    if described is None:
        described = ", ".join(code.value for code in geocodes)[:500].strip()
        notes.repair(bag.path("areaDesc"), "missing; the geocodes stand for it")
    return Area(
        area_desc=described,
        polygons=tuple(_shapes(bag, "polygon", shapes.polygon)),
        circles=tuple(_shapes(bag, "circle", shapes.circle)),
        geocodes=geocodes,
        altitude=values.number(bag, "altitude"),
        ceiling=values.number(bag, "ceiling"),
    )


def _shapes(
    bag: Bag, name: str, read: Callable[[str], shapes.Drawn[shapes.Shape]]
) -> list[shapes.Shape]:
    found = []
    for number, text in enumerate(bag.texts(name), 1):
        if not text:
            continue
        drawn, where = read(text), bag.path(name, number)
        bag.notes.remark(where, drawn.remarks)
        if drawn.unclear:
            bag.notes.ask(where, drawn.unclear, drawn.remedy)
        if drawn.shape is not None:
            found.append(drawn.shape)
    return found


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
    unclear = refusal.public_but(alert)
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
