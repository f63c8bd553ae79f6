"""Follows every danger for every citizen, and reports the changes they did not hear.

**One danger** is the set of alerts linked by `references`, by a sender's reuse of an identifier, by
`incidents`, or by the trace's own truth. In addition, a sender who repeats word for word what is in
force for the citizen says nothing new, unless it is Extreme and Immediate and the last message that
interrupted them is more than five minutes old: then it is a new salvo.

**A change** is, for a citizen in the alert's area:

- begin: nothing of the danger is in force for them;
- severity, urgency class (Immediate and Expected are one), certainty class (Observed and Likely are
  one), response types, and the text, which is headline (else event) and instruction (else
  description), compared within one language and without case, punctuation and layout;
- area entered: it contains another of their places;
- extension: it ends later than they were told; earlier onset: it begins earlier than they know;
- end: by Cancel, AllClear, Past or an Update that is over at issue, if they were notified of the
  danger, up to a day after it expired, and nothing as severe of it goes on.

Another thread of the danger changes only what nobody has said: more severe, more urgent, more
certain, a response that moves people, a later end. An alert that had expired when sent says
nothing.

**When it must be heard.** Begin, a rise of severity or urgency, added responses, text, area and end
must interrupt within a minute if Severe or Extreme; so must higher certainty when no time is left.
An extension must be heard before the end they were told, or at once if that is past and it is
Severe or Extreme; an earlier onset before it (an hour before if silent). Everything else must be
heard while the danger is in force, an end within a day. Email interrupts nobody: it counts as
silent, but is enough for a citizen who has nothing else. An Extreme alert may come silently within
five minutes of another that interrupted and said at least as much. A later message of the thread
makes up for an earlier one; so does one of another thread that says it.

A change never heard is **missed**; heard after its time it is **late**. A **quiet-hour violation**
is an interruption in the citizen's quiet hours when neither what it says nor the danger it ends is
Severe or Extreme, and it would still have been in force when they were over.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerting.domain.alert import Alert, Severity
from alerting.replay.judge.changes import AT_ONCE, NOTICED, SEVERE, changes_of
from alerting.replay.judge.dangers import END_IS_NEWS, Change, Danger, Dangers, Kind, Voice
from alerting.replay.judge.grouping import node_of
from alerting.replay.judge.oracle_findings import Fault, Findings
from alerting.replay.judge.said import NO_END, Said, said_by
from alerting.replay.replay_delivery import WAKING, Delivery, Outcome

#: How long after an interruption an alert that says no more need not interrupt.
ECHO = timedelta(minutes=5)

_EXTREME = Severity.EXTREME.rank
_SEVERITIES = list(Severity)
_LOUD = frozenset({Outcome.SENT, Outcome.DIGESTED})
_GONE = frozenset({Outcome.EXPIRED, Outcome.SUPERSEDED})


@dataclass(slots=True, eq=False)
class _Case:
    """One alert for one citizen.

    Attributes:
        rank: Its severity; for an end, that of the danger.
        about: The threads that an end ends.
        void: It was over when it was sent.
        waking: A channel that can interrupt has been heard.
    """

    said: Said
    spots: int
    no: int
    rank: int
    danger: Danger | None = None
    voice: Voice | None = None
    about: list[tuple[Danger, Voice]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    void: bool = False
    waking: bool = False
    needless: bool = False


class Oracle:
    """Observes deliveries in the order they are decided, and each outcome when it is known.

    Args:
        quiet: Whether an instant lies in a citizen's quiet hours.
        inside: The citizens in an alert's own areas.
        channels: A citizen's channels, in order.
        default_expiry: How long an alert without an end is in force.
    """

    def __init__(
        self,
        quiet: Callable[[int, datetime, datetime], bool],
        inside: Callable[[Alert], Set[int]] = lambda _alert: frozenset(),
        channels: Callable[[int], tuple[str, ...]] = lambda _citizen: ("push",),
        *,
        default_expiry: timedelta = timedelta(days=1),
    ) -> None:
        self._quiet = quiet
        self._inside = inside
        self._channels = channels
        self._default = default_expiry
        self._dangers = Dangers()
        self._rang: dict[int, list[tuple[datetime, Said]]] = {}
        self._waiting: dict[Delivery, _Case] = {}
        # The current alert.
        self._no = -1
        self._alert: Alert | None = None
        self._said: dict[int, Said] = {}
        self._cases: dict[int, _Case] = {}
        #: The citizens that alert ends a danger for, without a delivery yet.
        self._owed: dict[int, tuple[Danger, Voice]] = {}
        self.findings = Findings()

    def played(self, alert: Alert, incident: Hashable | None = None) -> None:
        """Record an alert before any of its deliveries.

        Args:
            incident: What the alert is really about, if known.
        """
        self._unplanned()
        for citizen, danger in self._dangers.forget(alert.sent):
            self._default_on(citizen, danger)
        self._no += 1
        self._alert = alert
        self._said.clear()
        self._cases = {}
        self._dangers.take(alert, incident)
        if alert.ends:
            self._owed = self._ended_for(alert)

    def judged(self, delivery: Delivery) -> bool:
        """Record a delivery's first decision; True when its alert changes something."""
        if self._alert is not delivery.alert:
            self.played(delivery.alert)
        case = self._cases.get(delivery.citizen)
        if case is None:
            case = self._cases[delivery.citizen] = self._case(delivery)
            self._owed.pop(delivery.citizen, None)
            for c in case.changes:
                c.lost = str(delivery.reason)
                self.findings.changes[_SEVERITIES[c.rank]] += 1
            self.findings.unchanged += not case.changes and not case.void
        self._waiting[delivery] = case
        return bool(case.changes)

    def settled(
        self, delivery: Delivery, outcome: Outcome, at: datetime, reason: str | None = None
    ) -> None:
        """Record the outcome of a delivery.

        Args:
            reason: The reason of its last decision.
        """
        case = self._waiting.pop(delivery)
        citizen = delivery.citizen
        if outcome is Outcome.EXPIRED:
            self.findings.expired[delivery.severity] += 1
        answered = 0
        if outcome.reached and (delivery.ends or at < case.said.until):
            nothing_wakes = not WAKING & set(self._channels(citizen))
            loud = (outcome in _LOUD and delivery.wakes) or nothing_wakes
            hear = self._hear_end if delivery.ends else self._hear
            answered = hear(citizen, case, at, loud=loud)
        if outcome is Outcome.SENT and delivery.wakes:
            self._interrupted(citizen, case, at, useful=answered > 0)
        if outcome.reached and delivery.ends:
            voice = case.voice
            self.findings.wrong_ends += (
                voice is not None and voice.in_force(at) and voice.told is not None
            )
        why = str(delivery.reason) if reason is None else reason
        case.waking |= delivery.wakes
        for c in case.changes:
            if delivery.wakes or not case.waking:
                c.lost = f"{why}, {outcome}" if outcome in _GONE and why != outcome else why

    def digest_sent(self, citizen: int, most_severe: Severity, at: datetime) -> None:
        """Record that a digest interrupted a citizen."""
        if most_severe.rank > SEVERE and self._quiet(citizen, at, NO_END):
            self.findings.quiet_hour_violations += 1

    def finish(self) -> Findings:
        """The findings, once every delivery has its outcome."""
        self._unplanned()
        for case in self._waiting.values():
            for c in case.changes:
                c.lost = "never settled"
        self._waiting.clear()
        for citizen, danger in self._dangers.all():
            self._default_on(citizen, danger)
        return self.findings

    # The facts, whatever was decided.

    def _case(self, delivery: Delivery) -> _Case:
        alert, concerned = delivery.alert, delivery.concerned
        no = concerned.info_no
        said = self._said.get(no)
        if said is None:
            said = self._said[no] = said_by(alert, delivery.info, default=self._default)
        case = _Case(said, concerned.spots, self._no, said.rank)
        if delivery.ends:
            self._ending(case, delivery)
        elif said.until <= alert.sent:
            case.void = True
        else:
            self._going(case, delivery.citizen, alert)
        return case

    def _going(self, case: _Case, citizen: int, alert: Alert) -> None:
        """A danger begins, goes on or changes."""
        now, said, node = alert.sent, case.said, node_of(alert.triple)
        danger, voice = self._dangers.find(citizen, node)
        salvo = False
        if danger is None:
            voice = self._dangers.said_already(citizen, said, now)
            if voice is not None:
                salvo = _salvo(voice, said, now)
                danger = self._dangers.join(citizen, node, voice)
        if danger is None:
            danger = self._dangers.begin(citizen, node)
        if not danger.in_force(now):
            danger.spots = danger.told_spots = 0
        before = None
        if voice is None:
            voice = Voice([node], said, alert.triple, case.no)
            danger.voices.append(voice)
        elif salvo:
            pass
        elif voice.in_force(now):
            before = voice.said
        else:
            voice.told, voice.rang_at = None, None
        voice.said, voice.latest, voice.no, voice.ended = said, alert.triple, case.no, False
        made = changes_of(
            danger, voice, before,
            spots=case.spots, no=case.no, identifier=alert.identifier, now=now,
        )  # fmt: skip
        danger.spots |= case.spots
        self._void(danger, voice, made, now)
        if said.rank == _EXTREME and any(Kind.BEGIN in c.kinds for c in made):
            mark_notified = self._rang.get(citizen, ())
            if any(now - at <= ECHO and other.as_much_as(said) for at, other in mark_notified):
                made[0].loud = False
        for c in danger.open:
            if c.voice is voice and c.lasting and c.deadline >= now:
                c.deadline = max(c.deadline, said.until)
        danger.open += made
        self._dangers.worded(citizen, voice)
        case.danger, case.voice, case.changes = danger, voice, made

    def _ending(self, case: _Case, delivery: Delivery) -> None:
        """Dangers end: that of the thread, else those the sender gives the same name."""
        alert, citizen, now = delivery.alert, delivery.citizen, delivery.alert.sent
        danger, own = self._dangers.find(citizen, node_of(alert.triple))
        case.danger, case.voice = danger, own
        if danger is None or own is None:
            about = [
                (d, v)
                for d in self._dangers.of(citizen)
                for v in d.voices
                if (v.said.sender, v.said.event) == (case.said.sender, case.said.event)
            ]
        elif alert.ends and citizen not in self._owed:
            return
        else:
            about = [(danger, own)]
        case.about = [(d, v) for d, v in about if not v.ended and now < v.said.until + END_IS_NEWS]
        for d, voice in case.about:
            change = self._end(d, voice, case, alert)
            if change is not None:
                d.open.append(change)
                case.changes.append(change)

    def _end(self, danger: Danger, voice: Voice, case: _Case, alert: Alert) -> Change | None:
        """End a thread; return the change that must be heard, if any."""
        now = alert.sent
        stood = voice.in_force(now)
        told = danger.told
        rank = min(voice.said.rank, voice.said.rank if voice.told is None else voice.told.rank)
        case.rank = min(case.rank, rank)
        voice.ended = True
        # What was still to be heard of it no longer matters, except that it began.
        danger.open = [
            c
            for c in danger.open
            if c.voice is not voice or c.deadline <= now or Kind.BEGIN in c.kinds
        ]
        others = danger.in_force(now)
        if not told or any(v.said.rank <= rank for v in others):
            return None
        loud = rank <= SEVERE and stood and not others
        deadline = now + (AT_ONCE if loud else END_IS_NEWS)
        return Change(
            (Kind.END,), voice, case.said, 0, rank, case.no, alert.identifier, deadline, loud=loud
        )

    def _void(self, danger: Danger, voice: Voice, made: list[Change], now: datetime) -> None:
        """Drop changes that need not be heard: what the citizen was told is true again."""
        back = voice.told is not None and voice.told.words == voice.said.words
        told_end = danger.told_end()
        own = {Kind.BEGIN, Kind.ENTERED, Kind.ONSET, Kind.EXTENSION}

        def moot(c: Change) -> bool:
            if c.voice is not voice:
                return False
            if Kind.END in c.kinds:
                return True
            if Kind.EXTENSION in c.kinds:
                return told_end is not None and voice.said.end <= told_end
            return back and not own & set(c.kinds)

        danger.open = [c for c in danger.open if c.deadline <= now or not moot(c)]
        made[:] = [c for c in made if not moot(c)]

    def _ended_for(self, alert: Alert) -> dict[int, tuple[Danger, Voice]]:
        """The citizens for whom an end says that the danger of its thread is over.

        An end speaks for its own areas, or for everyone if these contain nobody of the thread's.
        """
        mine = self._dangers.of_thread(alert)
        here = self._inside(alert) & mine.keys() if mine else frozenset()
        return {
            c: (d, v)
            for c, (d, v) in mine.items()
            if (c in here or not here) and not v.goes_on_from(alert)
        }

    def _unplanned(self) -> None:
        """The last alert is an end that was never considered for some citizens it was for."""
        alert, owed = self._alert, self._owed
        self._owed = {}
        for danger, voice in owed.values():
            if alert is None or not voice.in_force(alert.sent):
                continue
            said = said_by(alert, None, default=self._default)
            change = self._end(danger, voice, _Case(said, 0, self._no, said.rank), alert)
            if change is not None:
                change.lost = "not planned"
                self.findings.changes[_SEVERITIES[change.rank]] += 1
                danger.open.append(change)

    # The outcomes.

    def _hear(self, citizen: int, case: _Case, at: datetime, *, loud: bool) -> int:
        """The citizen hears of a danger; returns the number of changes that answers."""
        danger, voice, said = case.danger, case.voice, case.said
        if danger is None or voice is None:
            return 0
        if loud:
            voice.rang_at = at
            if said.rank == _EXTREME:
                mark_notified = [r for r in self._rang.get(citizen, ()) if at - r[0] <= ECHO]
                self._rang[citizen] = [*mark_notified, (at, said)]
        if case.no >= voice.told_no and not voice.ended:
            voice.told, voice.told_no = said, case.no
        danger.told_spots |= case.spots
        heard = [
            c
            for c in danger.open
            if (loud or not c.loud or (Kind.ONSET in c.kinds and at + NOTICED <= c.deadline))
            and Kind.END not in c.kinds
            and c.answered_by(voice, said, danger.told_spots, case.no)
        ]
        return self._answered(citizen, danger, heard, at)

    def _hear_end(self, citizen: int, case: _Case, at: datetime, *, loud: bool) -> int:
        """The citizen hears that dangers are over."""
        answered = 0
        for danger, voice in case.about:
            over = not danger.in_force(at)
            heard = [
                c
                for c in danger.open
                if (loud or not c.loud)
                and (c.voice is voice or (over and Kind.END in c.kinds))
                and c.no <= case.no
            ]
            answered += self._answered(citizen, danger, heard, at)
            for v in danger.voices if over else [voice]:
                if v.ended:
                    v.told = None
        return answered

    def _answered(self, citizen: int, danger: Danger, heard: list[Change], at: datetime) -> int:
        for c in heard:
            danger.open.remove(c)
            if at > c.deadline:
                self.findings.be_late(self._fault(citizen, c), c.identifier, citizen)
        return len(heard)

    def _interrupted(self, citizen: int, case: _Case, at: datetime, *, useful: bool) -> None:
        if case.rank > SEVERE and self._quiet(citizen, at, case.said.until):
            self.findings.quiet_hour_violations += 1
        if not (useful or case.changes or case.void or case.needless):
            case.needless = True
            self.findings.needless += 1

    def _default_on(self, citizen: int, danger: Danger) -> None:
        """A danger is forgotten: what was not heard of it by now is missed."""
        for c in danger.open:
            self.findings.miss(self._fault(citizen, c), c.identifier, citizen)
        danger.open.clear()

    def _fault(self, citizen: int, change: Change) -> Fault:
        kinds = ", ".join(change.kinds)
        channels = "+".join(self._channels(citizen))
        return Fault(_SEVERITIES[change.rank], channels, kinds, change.lost)


def _salvo(voice: Voice, said: Said, now: datetime) -> bool:
    """True when a repetition is no echo: citizens who heard the last may be outside again."""
    if said.rank > _EXTREME or not said.at_once:
        return False
    return voice.rang_at is None or now - voice.rang_at > ECHO
