"""The judge: what citizens should have been told, worked out from the raw alerts alone.

It shares no rule with the throttle, so that it can find the throttle wrong. For each citizen it
follows every danger, which is a thread of alerts joined by `references` and nothing else, through

    none → active (severity, urgency class, response types, instruction) → ended

and calls a delivery a **state change** when it

- is the first of its thread for the citizen, or the first since the danger ended or ran out, while
  no danger of the same sender, event and area text, at least as grave and as urgent, is in force
  for them; or
- changes the severity, the urgency class (Immediate and Expected are one), the response types or
  the instruction (compared within one language) of a danger in force; or
- ends a danger: by Cancel, AllClear or Past, of its thread, or, where its thread holds none, of the
  same sender, event and area text. A danger may be ended up to a day after it ran out.

An alert that had expired when it was sent changes nothing. Which deliveries are state changes
depends on no decision.

A state change is **missed** when it never reached the citizen before it expired, neither by an
interruption nor silently nor in a digest, unless

- invariant 2 holds: when it was judged, or when it was given up, a message about the same event, of
  at least its severity and of another thread, had reached the citizen, and its danger was in force.
  Where the delivery changes a danger rather than begins one, that other must also be as urgent and
  ask for all it asks for. The same event is the same sender, event and area text, or what the
  throttle took for one event, provided both share a category and no truth at hand names two
  different incidents; or
- it waited, and a later message of its thread reached the citizen, or one of at least its severity
  about the same event; or
- it is an end, while another danger of the same event at least as grave goes on for the citizen.
  Then it is that one's end that they must be told; or
- it is the end of a danger nobody told the citizen of.

An Extreme delivery is **suppressed** when it was not decided SEND, though it had not expired, ends
nothing, and no message at Extreme about the same event had reached the citizen and was in force. A
**quiet-hour violation** is an interruption in the citizen's quiet hours when neither what it says
nor the danger it ends is Severe or Extreme.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerting.domain.alert import Alert, Severity
from alerting.domain.decision import Verdict
from alerting.replay.danger import NEVER, Change, Danger, Said, alike, differ, said_of
from alerting.replay.delivery import Delivery, Outcome
from alerting.replay.links import Links, Thread

#: How long after a danger ran out its end is still news.
END_IS_NEWS = timedelta(days=1)

_EXTREME, _SEVERE = Severity.EXTREME.rank, Severity.SEVERE.rank


@dataclass(slots=True)
class Findings:
    state_changes: int = 0
    state_changes_missed: int = 0
    #: How the missed ones were lost.
    missed_by: Counter[str] = field(default_factory=Counter)
    extreme_suppressed: int = 0
    #: Ends that reached a citizen for whom the danger went on.
    wrong_ends: int = 0
    quiet_hour_violations: int = 0
    #: The first few missed ones: identifier and citizen, for whoever asks.
    examples: list[tuple[str, int]] = field(default_factory=list)


class Oracle:
    """Watches deliveries in the order they are judged, and each outcome as it is known.

    quiet: says whether an instant lies in a citizen's quiet hours. inside: the citizens whom an
    alert's own areas hold.
    """

    def __init__(
        self,
        quiet: Callable[[int, datetime], bool],
        inside: Callable[[Alert], Set[int]] = lambda _alert: frozenset(),
    ) -> None:
        self._quiet = quiet
        self._inside = inside
        self._links = Links()
        self._dangers: dict[int, list[Danger]] = {}
        self._waiting: dict[Delivery, tuple[Thread, Change | None]] = {}
        self._thread: Thread = ("", "", "")
        self._alert: Alert | None = None
        #: Whom that alert's end is for, and has no delivery for yet.
        self._owed: dict[int, Danger] = {}
        #: By info of that alert.
        self._said: dict[int, Said] = {}
        self._merged: dict[Hashable, Hashable] = {}
        self.findings = Findings()

    def played(self, alert: Alert) -> None:
        """Note an alert before any of its deliveries."""
        self._unplanned()
        self._alert = alert
        self._thread, _ = self._links.place(alert)
        self._said.clear()
        if alert.ends:
            self._owed = self._ended_for(alert)

    def judged(self, delivery: Delivery) -> bool:
        """Note a delivery as it is first decided; True where it is a state change."""
        now = delivery.alert.sent
        if self._alert is not delivery.alert:
            self.played(delivery.alert)
        change = None
        if now < delivery.expires_at:
            dangers = self._known(delivery.citizen, now)
            own = self._own(dangers)
            turn = self._ending if delivery.ends else self._going
            change = turn(delivery, own, dangers)
        self._owed.pop(delivery.citizen, None)
        self._waiting[delivery] = self._thread, change
        self.findings.state_changes += change is not None
        return change is not None

    def settled(self, delivery: Delivery, outcome: Outcome, at: datetime) -> None:
        """Note what became of a delivery that was noted before."""
        thread, change = self._waiting.pop(delivery)
        if outcome is Outcome.SENT:
            self._interrupted(delivery, change, at)
        if outcome.reached and delivery.ends:
            self.findings.wrong_ends += self._wrong(delivery, thread, at)
        if outcome.reached and at < delivery.expires_at:
            self._told(delivery, thread)
        elif change is not None:
            self._lost(delivery, change, outcome, at)

    def merged(self, event: Hashable, into: Hashable) -> None:
        """Note that the throttle now takes two events for one."""
        self._merged[event] = into

    def digest_sent(self, citizen: int, gravest: Severity, at: datetime) -> None:
        """Note that a digest interrupted a citizen."""
        if gravest.rank > _SEVERE and self._quiet(citizen, at):
            self.findings.quiet_hour_violations += 1

    def finish(self) -> Findings:
        """The findings, once every delivery is settled."""
        self._unplanned()
        for delivery, (_, change) in self._waiting.items():
            if change is not None:
                self._miss(delivery.alert.identifier, delivery.citizen, "never settled")
        self._waiting.clear()
        for citizen, dangers in self._dangers.items():
            for d in dangers:
                self._default(citizen, d)
        return self.findings

    # What is so, whatever was decided.

    def _ended_for(self, alert: Alert) -> dict[int, Danger]:
        """For whom an end says that the danger of its thread is over.

        An end speaks for its own areas, or where these hold nobody of the thread's, for all.
        """
        mine = {
            citizen: d
            for citizen, dangers in self._dangers.items()
            for d in dangers
            if not d.ended and self._links.root(d.thread) == self._thread
        }
        here = self._inside(alert) & mine.keys()
        stays = {c for c, d in mine.items() if d.goes_on_from(alert)}
        return {c: d for c, d in mine.items() if (c in here or not here) and c not in stays}

    def _unplanned(self) -> None:
        """The last alert is an end that was never even considered for some it was for."""
        alert, owed = self._alert, self._owed
        self._owed = {}
        for citizen, danger in owed.items():
            if alert is None or danger.ended or danger.expires_at <= alert.sent:
                continue
            danger.ended = True
            others = [
                d
                for d in self._dangers[citizen]
                if d is not danger and d.in_force(alert.sent) and self._same(d, danger)
            ]
            if danger.told < NEVER and not others:
                self._miss(alert.identifier, citizen, "not planned")

    def _wrong(self, delivery: Delivery, thread: Thread, at: datetime) -> bool:
        """True where a citizen hears that a danger is over which goes on for them."""
        root = self._links.root(thread)
        return any(
            d.in_force(at) and self._links.root(d.thread) == root and d.told < NEVER
            for d in self._dangers.get(delivery.citizen, ())
        )

    def _own(self, dangers: list[Danger]) -> Danger | None:
        """The danger of the alert's thread; two whose threads have become one are made one."""
        mine = [d for d in dangers if self._links.root(d.thread) == self._thread]
        for other in mine[1:]:
            mine[0].take_in(other)
            dangers.remove(other)
        return mine[0] if mine else None

    def _known(self, citizen: int, now: datetime) -> list[Danger]:
        """The citizen's dangers that may still matter; the others are forgotten."""
        dangers = self._dangers.setdefault(citizen, [])
        gone = [d for d in dangers if d.expires_at + END_IS_NEWS <= now]
        if gone:
            for d in gone:
                self._default(citizen, d)
            dangers[:] = [d for d in dangers if d.expires_at + END_IS_NEWS > now]
        return dangers

    def _going(
        self, delivery: Delivery, own: Danger | None, dangers: list[Danger]
    ) -> Change | None:
        """A danger begins, goes on or changes."""
        now = delivery.alert.sent
        said = self._danger(delivery)
        if said.rank == _EXTREME and delivery.verdict is not Verdict.SEND:
            told = [d.told for d in dangers if d.in_force(now) and self._same(d, said)]
            self.findings.extreme_suppressed += min(told, default=NEVER) > _EXTREME
        begins = own is None or not own.in_force(now)
        if own is None or begins:
            changed = not any(
                alike(d, said)
                and d.in_force(now)
                and d.rank <= said.rank
                and d.urgency <= said.urgency
                for d in dangers
            )
        else:
            changed = differ(own, said)
        if own is None:
            dangers.append(said)
            own = said
        else:
            own.follow(said, forget=begins)
        if not changed:
            return None
        change = Change([own], said, begins, ends=False, messages=own.messages)
        change.excused = self._covered(change, dangers, now)
        return change

    def _ending(
        self, delivery: Delivery, own: Danger | None, dangers: list[Danger]
    ) -> Change | None:
        """Dangers end: that of the thread, else those the sender would call the same."""
        said = self._danger(delivery)
        if own is None:
            about = [d for d in dangers if alike(d, said)]
        elif delivery.alert.ends and delivery.citizen not in self._owed:
            about = []
        else:
            about = [own]
        about = [d for d in about if not d.ended]
        if not about:
            return None
        for d in about:
            d.ended = True
        said.rank = min(d.rank for d in about)
        change = Change(about, said, begins=False, ends=True, messages=0)
        change.excused = self._goes_on(change, dangers, delivery.alert.sent)
        return change

    def _danger(self, delivery: Delivery) -> Danger:
        """What the delivery says; what is the same for all who get this info is put down once."""
        no = delivery.concerned.info_no
        if no not in self._said:
            self._said[no] = said_of(delivery)
        name, urgency, responses, instruction, language, categories = self._said[no]
        return Danger(
            thread=self._thread,
            sender=delivery.alert.sender,
            name=name,
            area=delivery.concerned.area,
            rank=delivery.severity.rank,
            urgency=urgency,
            responses=responses,
            instruction=instruction,
            language=language,
            categories=categories,
            expires_at=delivery.expires_at,
            latest=delivery.alert.triple,
            event=delivery.event,
            incident=delivery.incident,
        )

    def _covered(self, change: Change, dangers: list[Danger], now: datetime) -> bool:
        """Invariant 2: a message of another thread says as much about the same event."""
        return any(
            d not in change.about
            and d.in_force(now)
            and (d.told <= change.said.rank if change.begins else d.says(change.said))
            and self._same(d, change.said)
            for d in dangers
        )

    def _goes_on(self, change: Change, dangers: list[Danger], now: datetime) -> bool:
        """A danger of the same event goes on; what the citizen knows now rests on that one."""
        others = [
            d
            for d in dangers
            if d.in_force(now)
            and d.rank <= change.said.rank
            and any(self._same(d, ended) for ended in change.about)
        ]
        told = min(d.told for d in change.about)
        for d in others:
            if d.told == NEVER:
                d.told = told
        return bool(others)

    def _same(self, a: Danger, b: Danger) -> bool:
        if self._links.root(a.thread) == self._links.root(b.thread) or alike(a, b):
            return True
        if a.incident is not None and b.incident is not None:
            return a.incident == b.incident
        return self._event(a) == self._event(b) and bool(a.categories & b.categories)

    def _event(self, danger: Danger) -> Hashable:
        event = danger.event
        while event in self._merged:
            event = self._merged[event]
        return event

    # What became of it.

    def _told(self, delivery: Delivery, thread: Thread) -> None:
        root = self._links.root(thread)
        dangers = self._dangers.get(delivery.citizen, [])
        own = next((d for d in dangers if self._links.root(d.thread) == root), None)
        if own is None:
            return
        own.messages += 1
        own.owed.clear()
        if delivery.ends:
            return
        own.told = delivery.severity.rank
        for d in dangers:
            if d.owed and self._same(d, own):
                d.owed = [rank for rank in d.owed if rank < own.told]

    def _lost(self, delivery: Delivery, change: Change, outcome: Outcome, at: datetime) -> None:
        """A state change will not reach the citizen."""
        if change.excused:
            return
        if change.ends:
            if any(d.told < NEVER for d in change.about):
                self._miss(delivery.alert.identifier, delivery.citizen, outcome)
            return
        (own,) = change.about
        if own.messages > change.messages:
            return
        if self._covered(change, self._dangers.get(delivery.citizen, []), at):
            return
        if outcome is Outcome.SUPERSEDED:
            own.owed.append(change.said.rank)
        else:
            self._miss(delivery.alert.identifier, delivery.citizen, outcome)

    def _default(self, citizen: int, danger: Danger) -> None:
        """A danger is forgotten: what it still owes was never told."""
        for _ in danger.owed:
            self._miss(danger.thread[1], citizen, Outcome.SUPERSEDED)
        danger.owed.clear()

    def _miss(self, identifier: str, citizen: int, how: str) -> None:
        self.findings.state_changes_missed += 1
        self.findings.missed_by[str(how)] += 1
        if len(self.findings.examples) < 20:
            self.findings.examples.append((identifier, citizen))

    def _interrupted(self, delivery: Delivery, change: Change | None, at: datetime) -> None:
        gravest = delivery.severity.rank
        if change is not None and change.ends:
            gravest = min(gravest, change.said.rank)
        if gravest > _SEVERE and self._quiet(delivery.citizen, at):
            self.findings.quiet_hour_violations += 1
