"""References: which earlier alerts an alert is about, although senders write references badly.

An exact CAP reference decides first. When the time of a reference matches none, the name (sender
and identifier, case ignored) does: senders often get the offset or the second wrong. An alert with
the name of an earlier one is its next version. An end without a reference means the one live alert
of its sender for that danger and place. Only an alert's own sender, or somebody who may end any
alert, is followed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from alerting.domain.alert import Alert, MsgType
from alerting.domain.version import Name, Version, name_of
from alerting.throttle.events.same import Signature, same_ground, same_place

Id = TypeVar("Id", bound=Hashable)

#: The smallest step between two instants, so that an alert sorts after what it refers to.
_STEP = timedelta(microseconds=1)

#: Alerts named in a sentence.
_NAMED = 5

#: A name used again this long after its alert expired is that of another danger.
_REUSED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Referred(Generic[Id]):
    """What a new alert is about.

    Attributes:
        older: The versions it follows.
        younger: Versions that arrived first and come after it.
        beside: Versions of something that has not arrived yet, like itself.
        others: Alerts of other senders that it refers to and may not end.
        unknown: References to nothing known here.
        notes: What was read differently than written.
    """

    older: tuple[Version[Id], ...] = ()
    younger: tuple[Version[Id], ...] = ()
    beside: tuple[Version[Id], ...] = ()
    others: tuple[Version[Id], ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def versions(self) -> tuple[Version[Id], ...]:
        """All versions it shares a thread with, the oldest first."""
        every = (*self.older, *self.younger, *self.beside)
        return tuple(sorted(every, key=lambda v: v.order_at))

    @property
    def threads(self) -> tuple[Id, ...]:
        """The threads of `versions`, each once."""
        return tuple(dict.fromkeys(v.thread for v in self.versions))


@dataclass(frozen=True, slots=True)
class Guess(Generic[Id]):
    """What an alert without a known reference may be about.

    Attributes:
        held: Why a person must decide.
        ends_nothing: It is an end, and nothing it could end is known.
    """

    found: Referred[Id]
    note: str = ""
    held: str = ""
    ends_nothing: bool = False


def names_of(alert: Alert) -> list[Name]:
    """Every name under which the alerts it refers to are looked up, including its own."""
    own = alert.sender.lower()
    found = [name_of(alert.triple)]
    for r in alert.references:
        # The sender of a reference may be mistyped.
        found += [name_of(r), (own, r.identifier.lower())]
    found += [(own, loose.lower()) for loose in alert.loose_references]
    return list(dict.fromkeys(found))


def cited_by(alert: Alert) -> list[Name]:
    """Every name that an alert refers to, as it is written."""
    own = alert.sender.lower()
    return [
        *(name_of(r) for r in alert.references),
        *((own, loose.lower()) for loose in alert.loose_references),
    ]


def referred(
    alert: Alert, known: Sequence[Version[Id]], *, may_end: Callable[[str], bool]
) -> Referred[Id]:
    """Find among `known` what an alert is about.

    Args:
        known: The alerts of its status and scope with one of `names_of(alert)`, or that refer to
            one with such a name.
        may_end: Whether whoever sent the alert may end alerts of a given other sender.
    """
    own = alert.sender.lower()
    by_name: dict[Name, list[Version[Id]]] = defaultdict(list)
    for v in known:
        by_name[name_of(v.triple)].append(v)
    older: dict[Id, Version[Id]] = {}
    unknown: dict[Name, str] = {}
    notes: list[str] = []
    for r in alert.references:
        same = by_name.get(name_of(r)) or by_name.get((own, r.identifier.lower()), [])
        exact = [v for v in same if v.triple.sent == r.sent]
        if not same:
            unknown[name_of(r)] = r.identifier
        elif not exact:
            notes.append(f"Its reference to {r.identifier} has another time; it still counts.")
        older |= {v.id: v for v in exact or same}
    for loose in alert.loose_references:
        same = by_name.get((own, loose.lower()), [])
        if not same:
            unknown[own, loose.lower()] = loose
        older |= {v.id: v for v in same}
    others = {i: v for i, v in older.items() if v.sender.lower() != own and not may_end(v.sender)}
    older = {i: v for i, v in older.items() if i not in others}
    younger: dict[Id, Version[Id]] = {}
    for v in by_name.get(name_of(alert.triple), ()):
        if v.triple.sent != alert.sent and v.expires_at + _REUSED > alert.sent:
            (older if v.triple.sent < alert.sent else younger).setdefault(v.id, v)
    beside: dict[Id, Version[Id]] = {}
    issues = by_name.get(name_of(alert.triple), ())
    before = any(v.id in older for v in issues)
    for v in known:
        if v.id in older or not (v.sender.lower() == own or v.end_any):
            continue
        mine = [r for r in v.references if name_of(r) == name_of(alert.triple)]
        if mine and (not issues or any(r.sent == alert.sent for r in mine)):
            younger[v.id] = v
        elif mine:
            # About another version of that name: what is issued again after its end is not over.
            if before and v.order_at <= alert.sent:
                older[v.id] = v
        elif any(name_of(r) in unknown for r in v.references):
            beside[v.id] = v
    return Referred(
        tuple(older.values()),
        tuple(younger.values()),
        tuple(beside.values()),
        tuple(others.values()),
        tuple(unknown.values()),
        tuple(notes),
    )


def meant(
    alert: Alert, mine: Signature, live: Sequence[tuple[Version[Id], Signature]]
) -> list[Version[Id]]:
    """The live alerts that an alert without a known reference may mean.

    Args:
        live: Alerts of its sender, status and scope whose danger is in force.
    """
    if not alert.infos:
        return [v for v, _ in live]
    if not any(a.polygons or a.circles or a.geocodes for i in alert.infos for a in i.areas):
        return [v for v, theirs in live if mine.hazards & theirs.hazards]
    here = [v for v, theirs in live if same_ground(mine, theirs)]
    return here or [v for v, theirs in live if same_place(mine, theirs)]


def guess(
    alert: Alert,
    found: Referred[Id],
    mine: Signature,
    live: Sequence[tuple[Version[Id], Signature]],
    *,
    approved: bool,
) -> Guess[Id]:
    """What an update or end without a known reference is about.

    An end that names no alert means the one live alert of its sender for that danger and place.
    When it names an unknown one, or several may be meant, a person decides.

    Args:
        live: Alerts of its sender, status and scope whose danger is in force.
        approved: Somebody decided.
    """
    may_mean = meant(alert, mine, live)
    one = len({v.thread for v in may_mean}) == 1
    if may_mean and ((approved and alert.ends) or (one and not found.unknown)):
        note = f"It refers to no alert that is known; it is treated as about {listed(may_mean)}."
        return Guess(Referred(older=tuple(may_mean), notes=found.notes), note)
    if not alert.ends:
        return Guess(found, "None of the alerts it refers to is known here; it starts a thread.")
    names = ", ".join(found.unknown[:_NAMED])
    said = f"It ends {names}, which is not known here" if names else "It does not say what it ends"
    if may_mean:
        why = f"{said}, and may mean {listed(may_mean)}. Approving it ends them all."
        return Guess(found, held=why)
    note = f"{said}, and no alert of its sender for that danger and place is in force."
    return Guess(found, note, ends_nothing=True)


def listed(versions: Sequence[Version[Id]]) -> str:
    """The alerts in words; of many only the number is given."""
    names = list(dict.fromkeys(f"{v.triple.identifier} of {v.sender}" for v in versions))
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def reissue(alert: Alert, found: Referred[Id]) -> tuple[Alert, str]:
    """An Alert with the name of an earlier one, as the Update that it is, and a note.

    Anything else is returned unchanged, with an empty note.
    """
    same = [v for v in found.older if name_of(v.triple) == name_of(alert.triple)]
    if alert.msg_type is not MsgType.ALERT or not same:
        return alert, ""
    newest = max(same, key=lambda v: v.order_at)
    return replace(alert, msg_type=MsgType.UPDATE, references=(newest.triple,)), (
        f"{alert.sender} issued {alert.identifier} before: this is treated as an update of it."
    )


def order_at(alert: Alert, found: Referred[Id], *, now: datetime) -> datetime:
    """The instant that orders an alert in its thread.

    Its `sent`, but after all it refers to and before all that refers to it, and never ahead of
    `now`: a sender's clock must neither hide an alert nor block those that follow.
    """
    at = min(alert.sent, now)
    if found.older:
        at = max(at, max(v.order_at for v in found.older) + _STEP)
    if found.younger:
        at = min(at, min(v.order_at for v in found.younger) - _STEP)
    return at
