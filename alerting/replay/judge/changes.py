"""What an alert changes for one citizen, by what its senders said before."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerting.domain.alert import Severity
from alerting.replay.judge.dangers import Change, Danger, Kind, Voice
from alerting.replay.judge.said import Said

#: The time limit for a change that must be heard at once.
AT_ONCE = timedelta(minutes=1)
#: How long after a silent message a citizen is assumed to notice it.
NOTICED = timedelta(hours=1)

SEVERE = Severity.SEVERE.rank

#: A kind, and whether it must interrupt when Severe or Extreme.
Found = list[tuple[Kind, bool]]


def changes_of(
    danger: Danger,
    voice: Voice,
    before: Said | None,
    *,
    spots: int,
    no: int,
    identifier: str,
    now: datetime,
) -> list[Change]:
    """The changes made by a version that says `voice.said`.

    Args:
        before: What the thread said until now; None when it was not in force.
        spots: The citizen's places it contains.
    """
    said = voice.said
    others = danger.in_force(now, but=voice)
    if before is not None:
        found = _version(danger, voice, before, others)
    elif others:
        found = _joined(said, others)
    else:
        found = [(Kind.BEGIN, True)]
    if found != [(Kind.BEGIN, True)] and spots & ~danger.spots:
        found.append((Kind.ENTERED, True))
    rank = said.rank if before is None else min(said.rank, before.rank)
    made: list[Change] = []

    def add(kinds: tuple[Kind, ...], deadline: datetime, *, loud: bool) -> None:
        made.append(Change(kinds, voice, said, spots, rank, no, identifier, deadline, loud=loud))

    if found:
        loud = said.rank <= SEVERE and any(must for _, must in found)
        kinds = tuple(sorted((k for k, _ in found), key=list(Kind).index))
        add(kinds, now + AT_ONCE if loud else said.until, loud=loud)
    if before is not None and _earlier(voice, before, now) and not danger.has_open(Kind.ONSET):
        onset = said.onset or now
        add((Kind.ONSET,), max(onset, now + AT_ONCE), loud=said.rank <= SEVERE)
    told_end = danger.told_end()
    if told_end is not None and said.end > told_end and (Kind.BEGIN, True) not in found:
        extension = danger.has_open(Kind.EXTENSION)
        if extension is None:
            # A citizen told that it ends about now must hear at once if it is severe.
            late, grave = told_end <= now, said.rank <= SEVERE
            deadline = said.until if late and not grave else max(told_end, now + AT_ONCE)
            add((Kind.EXTENSION,), deadline, loud=late and grave)
        elif extension.voice is voice and said.end > extension.said.end:
            # Extended again: one message with the newest end is enough.
            extension.said, extension.no, extension.rank = said, no, min(extension.rank, rank)
    return [c for c in made if not _known(danger, c, now)]


def _version(danger: Danger, voice: Voice, old: Said, others: list[Voice]) -> Found:
    """A thread goes on."""
    new = voice.said
    found: Found = []
    if new.rank < old.rank:
        found.append((Kind.SEVERITY, True))
    elif new.rank > old.rank and not any(v.said.rank < new.rank for v in others):
        found.append((Kind.EASED, False))
    if new.urgency != old.urgency:
        found.append((Kind.URGENCY, new.urgency < old.urgency))
    if new.certainty != old.certainty:
        # Higher certainty matters at once when there is no time left to wait.
        found.append((Kind.CERTAINTY, new.certainty < old.certainty and new.urgency == 0))
    if new.responses != old.responses:
        found.append((Kind.RESPONSE, bool(new.responses - old.responses)))
    # A translation rewords everything; who was notified by another thread never read the old text.
    read = voice.told is not None or not danger.told
    if read and new.language == old.language and new.text != old.text:
        found.append((Kind.TEXT, True))
    return found


def _joined(new: Said, others: list[Voice]) -> Found:
    """A further thread of a danger in force: only what nobody has said yet counts."""
    found: Found = []
    if new.rank < min(v.said.rank for v in others):
        found.append((Kind.SEVERITY, True))
    if new.urgency < min(v.said.urgency for v in others):
        found.append((Kind.URGENCY, True))
    if new.certainty < min(v.said.certainty for v in others):
        found.append((Kind.CERTAINTY, new.urgency == 0))
    if new.moving - frozenset[object]().union(*(v.said.responses for v in others)):
        found.append((Kind.RESPONSE, True))
    own = [v for v in others if v.said.sender == new.sender]
    if own and all(v.said.language == new.language and v.said.text != new.text for v in own):
        found.append((Kind.TEXT, True))
    return found


def _earlier(voice: Voice, before: Said, now: datetime) -> bool:
    known = (voice.told or before).onset
    return (
        known is not None
        and known > now
        and voice.said.onset is not None
        and voice.said.onset < known
    )


def _known(danger: Danger, change: Change, now: datetime) -> bool:
    """True when the citizen knows it from another thread."""
    told = danger.told_by_others(now, but=change.voice)
    return any(change.covered_by(said, danger.told_spots) for said in told)
