"""Plays a trace through the live path's rules on a simulated clock, sending nothing.

Every alert is submitted at the instant it was sent. Approval comes at once, no channel fails, and
every citizen consents. Each channel of a citizen is evaluated by itself, as in the live path; a
silent message does not go by a channel that cannot be silent.
"""

from __future__ import annotations

import time as wall
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from alerting.clock import ManualClock
from alerting.dispatch.intake.times import sending_ends
from alerting.domain.alert import Alert, MsgType, Reference
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.lane import Lane, lane_for
from alerting.replay.admission import Admission
from alerting.replay.book import Book, Detail
from alerting.replay.concern import Concern
from alerting.replay.judge.oracle import Oracle
from alerting.replay.ledger import Entry, Ledger, Source
from alerting.replay.population import CAN_BE_SILENT, Clocks, Population, used
from alerting.replay.replay_delivery import Concerned, Delivery, Outcome
from alerting.replay.result import Figures, Result, judge_grouping
from alerting.replay.trace import Played, Refused, Trace
from alerting.replay.waiting import Due, Pending, Waiting, select_pending
from alerting.throttle.assess import Assessment
from alerting.throttle.budget.memory_budget import MemoryBudget
from alerting.throttle.evaluator import AlertEvaluator, Evaluated, Subject, limits_of
from alerting.throttle.phase import Phase
from alerting.throttle.policy.parse import Policy

_NOT_SENT = frozenset({MsgType.ACK, MsgType.ERROR})
_GONE = {Reason.EXPIRED: Outcome.EXPIRED} | dict.fromkeys(
    (Reason.SUPERSEDED, Reason.CANCELLED), Outcome.SUPERSEDED
)


async def replay(
    trace: Trace,
    population: Population,
    policy: Policy,
    *,
    policy_name: str = "default",
    channels: str = "own",
    default_expiry_s: float = 24 * 3600,
    all_channels_lanes: Collection[str] = (Lane.EXTREME,),
    detail: Path | None = None,
    progress: Callable[[int], None] = lambda _played: None,
) -> Result:
    """Decide every alert of a trace for every citizen it concerns, and return the totals.

    Args:
        channels: The name of the citizens' mix of channels.
        default_expiry_s: How long an alert without an end is in force.
        all_channels_lanes: Lanes that use every channel of a citizen.
        detail: Where to write a line per delivery.
        progress: Called with the number of alerts played.
    """
    began = wall.monotonic()
    clocks = Clocks(population, policy)
    figures = Figures()
    theirs = [c.channels for c in population.citizens]
    oracle = Oracle(
        clocks.quiet,
        Concern(population).inside,
        theirs.__getitem__,
        default_expiry=timedelta(seconds=default_expiry_s),
    )
    names = [c.name for c in population.citizens]
    lines = None if detail is None else Detail(detail, names)
    try:
        book = Book(figures, oracle, lines, clocks.day)
        run = _Run(trace, population, policy, figures, book, default_expiry_s, all_channels_lanes)
        for number, played in enumerate(trace.played, 1):
            await run.play(played)
            progress(number)
        await run.drain()
    finally:
        if lines is not None:
            lines.close()
    grouping = judge_grouping(run.grouped()) if trace.truth else None
    seconds = wall.monotonic() - began
    findings = oracle.finish()
    return Result(trace, population, figures, findings, grouping, policy_name, seconds, channels)


class _Run:
    """One replay in progress."""

    def __init__(
        self,
        trace: Trace,
        population: Population,
        policy: Policy,
        figures: Figures,
        book: Book,
        default_expiry_s: float,
        all_channels_lanes: Collection[str],
    ) -> None:
        self._trace = trace
        self._citizens = population.citizens
        self._policy = policy
        self._figures = figures
        self._book = book
        self._default_expiry_s = default_expiry_s
        self._all_channels_lanes = all_channels_lanes
        self._clock = ManualClock(trace.played[0].alert.sent)
        self._budget = MemoryBudget(lambda: self._clock.now().timestamp())
        self._concern = Concern(population)
        self._ledger = Ledger()
        self._waiting = Waiting()
        self._admission = Admission(policy, self._concern, self._waiting.holds)
        #: Each alert as sent, and as intake took it.
        self._submitted: dict[Reference, tuple[Alert, Source]] = {}
        #: The incident of each message, where one is known.
        self._incidents: list[tuple[Source, str | None]] = []

    async def play(self, played: Played) -> None:
        """Process everything due before an alert, then the alert."""
        alert = played.alert
        await self._until(alert.sent)
        self._clock.at = alert.sent
        self._figures.messages += 1
        if alert.msg_type in _NOT_SENT:
            self._figures.not_sent += 1
        elif not alert.for_public:
            self._figures.not_public += 1
        else:
            await self._public(played)

    async def drain(self) -> None:
        """Process everything that still waits."""
        await self._until(None)

    def grouped(self) -> list[tuple[Hashable, str | None]]:
        """The final event and the incident of each message whose incident is known."""
        return [(source.event, incident) for source, incident in self._incidents]

    async def _until(self, now: datetime | None) -> None:
        while (due := self._waiting.due(now)) is not None:
            self._clock.at = due.at
            if due.digest:
                self._digest(due)
            else:
                await self._again(due)

    async def _public(self, played: Played) -> None:
        alert, now = played.alert, played.alert.sent
        first = self._submitted.get(alert.triple)
        if first is not None:
            self._duplicate(played, *first)
            return
        expires_at = sending_ends(alert, now, self._default_expiry_s)
        place = await self._admission.admit(alert, expires_at)
        source = place.source
        self._submitted[alert.triple] = alert, source
        self._figures.unsure += place.unsure
        self._figures.held += bool(place.held)
        for event in place.merged:
            self._ledger.merge(event, source.event)
            self._concern.merge(event, source.event)
        if source.state in ENDED:
            self._book.played(alert, self._incident(played, source))
            self._figures.late += 1
            return
        concerned, for_all = self._concern.of(source.alert, source.event, partly=bool(place.rest))
        state = AlertState.CANCELLED if alert.msg_type is MsgType.CANCEL else AlertState.SUPERSEDED
        for older in [*place.ended, *(place.rest if for_all else ())]:
            self._end(older, state, now, by=source)
        self._book.played(alert, self._incident(played, source))
        if not concerned:
            self._figures.nobody += 1
            return
        subjects = [self._subject(c, source, now) for c in concerned]
        decided = await self._decided(source, subjects)
        for c, subject, by_channel in zip(concerned, subjects, decided, strict=True):
            entry: Entry | None = None
            for channel, phase, j in by_channel:
                if entry is None:
                    entry = Entry(source, phase, subject.places, now)
                    self._ledger.add(c.citizen, entry)
                delivery = _delivery(alert, source, c, channel, j.decision, j.assessment)
                expires_at = min(source.expires_at, phase.expires_at)
                self._book.judged(delivery, _at_once(j.decision, channel))
                pending = Pending(delivery, source, subject, entry, expires_at)
                self._carry_out(pending, j.decision, now)

    async def _decided(
        self, source: Source, subjects: Sequence[Subject]
    ) -> list[list[tuple[str, Phase, Evaluated]]]:
        """For each subject, the decision for each channel the alert uses."""
        numbers: dict[str, list[int]] = defaultdict(list)
        for n, s in enumerate(subjects):
            lane = lane_for(source.alert, s.info_no)
            every = source.alert.ends or lane in self._all_channels_lanes
            for channel in used(self._citizens[s.citizen_id].channels, every=every):
                numbers[channel].append(n)
        decided: list[list[tuple[str, Phase, Evaluated]]] = [[] for _ in subjects]
        for channel, those in numbers.items():
            evaluator, judged = await self._judge(source, [subjects[n] for n in those], 0, channel)
            for n, j in zip(those, judged, strict=True):
                decided[n].append((channel, evaluator.phase(subjects[n].info_no), j))
        return decided

    def _duplicate(self, played: Played, before: Alert, first: Source) -> None:
        """An alert of the same name came before: as at intake, it is a duplicate or refused."""
        alert = played.alert
        if replace(alert, repairs=()) != replace(before, repairs=()):
            why = f"{alert.sender} sent another {alert.identifier} at that time."
            self._trace.refused.append(Refused(played.file, why))
            return
        self._book.played(alert, self._incident(played, first))
        evaluator = self._evaluator(first, silent=True)
        again = Decision(Action.DROP, Reason.IDENTICAL)
        for c in self._concern.of(first.alert, first.event, partly=False)[0]:
            facts = evaluator.facts(self._subject(c, first, alert.sent))
            unmoved = replace(facts.assessment, after=facts.assessment.before)
            for channel in used(self._citizens[c.citizen].channels, every=False):
                delivery = _delivery(alert, first, c, channel, again, unmoved)
                self._book.judged(delivery, Outcome.DROPPED)

    def _incident(self, played: Played, source: Source) -> str | None:
        truth, name = self._trace.truth, (played.file, played.alert.identifier)
        incident = truth.incident(*name)
        if truth.knows(*name):
            self._incidents.append((source, incident))
        return incident

    def _end(self, source: Source, state: AlertState, now: datetime, *, by: Source) -> None:
        """A newer version has come: deliveries of the older one that wait are superseded."""
        source.state = state
        source.over, source.over_at = by.alert.ends, now if by.alert.ends else None
        for pending in self._waiting.revoke(source):
            self._book.settled(pending.delivery, Outcome.SUPERSEDED, now, pending.reason)

    def _carry_out(self, pending: Pending, decision: Decision, now: datetime) -> None:
        """Apply a decision to ledger and queue; the caller records it."""
        if _at_once(decision, pending.delivery.channel) is Outcome.RECORDED:
            return
        pending.reason = str(decision.reason)
        match decision:
            case Decision(Action.SEND | Action.SILENT as action, reason):
                partly = reason is Reason.PARTLY_ENDED
                pending.entry.tell(now, silent=action is Action.SILENT, partly=partly)
            case Decision(Action.DEFER, until=datetime() as until):
                pending.entry.wait(True)
                self._waiting.defer(pending, until)
            case Decision(Action.DIGEST, until=datetime() as until):
                pending.entry.wait(True)
                self._waiting.digest(pending, until)

    async def _again(self, due: Due) -> None:
        """Decide deferred deliveries again, with what their citizens know by now."""
        first = due.items[0]
        source, channel = first.source, first.delivery.channel
        subjects = [self._subject(p.delivery.concerned, source, due.at) for p in due.items]
        _, judged = await self._judge(source, subjects, first.deferrals, channel)
        for pending, j in zip(due.items, judged, strict=True):
            outcome, reason = _at_once(j.decision, channel), str(j.decision.reason)
            if outcome is Outcome.DROPPED and j.decision.reason in _GONE:
                outcome, reason = _GONE[j.decision.reason], pending.reason
            if outcome is not None:
                pending.entry.wait(False)
                self._book.settled(pending.delivery, outcome, due.at, reason)
            self._carry_out(pending, j.decision, due.at)

    def _digest(self, due: Due) -> None:
        """Send one citizen's digest, if anything in it is still news."""
        first = due.items[0].delivery
        alive, gone = select_pending(due.items, self._ledger, due.at)
        if alive:
            most_severe = min((p.entry.phase.severity for p in alive), key=lambda s: s.rank)
            self._book.digest_sent(first.citizen, first.channel, most_severe, due.at)
        for pending in alive:
            pending.entry.tell(due.at, silent=False)
            self._book.settled(pending.delivery, Outcome.DIGESTED, due.at, pending.reason)
        # An item that the digest already covers is dropped after the digest was sent.
        for pending, outcome in gone:
            pending.entry.wait(False)
            self._book.settled(pending.delivery, outcome, due.at, pending.reason)

    async def _judge(
        self, source: Source, subjects: Sequence[Subject], rounds: int, channel: str
    ) -> tuple[AlertEvaluator, list[Evaluated]]:
        evaluator = self._evaluator(source, silent=CAN_BE_SILENT[channel])
        judged = await evaluator.evaluate(
            subjects,
            occasion=f"{source.no}:{rounds}:{channel}",
            budget=self._budget,
            fallback=self._budget,
        )
        charges = evaluator.charges(subjects, judged)
        if charges:
            await self._budget.ask(f"{source.no}:{channel}", charges, limits_of(self._policy))
        return evaluator, judged

    def _evaluator(self, source: Source, *, silent: bool) -> AlertEvaluator:
        return AlertEvaluator(
            source.alert,
            self._policy,
            key=source.no,
            thread=source.thread,
            state=source.state,
            expires_at=source.expires_at,
            order_at=source.order_at,
            submitted_at=source.alert.sent,
            now=self._clock.now(),
            can_be_silent=silent,
        )

    def _subject(self, c: Concerned, source: Source, now: datetime) -> Subject:
        citizen = self._citizens[c.citizen]
        history, elsewhere = self._ledger.known(c.citizen, source, now)
        start, end = citizen.quiet or (None, None)
        return Subject(
            c.citizen,
            c.info_no,
            c.area_no,
            c.places,
            time_zone=citizen.time_zone or "",
            quiet_from=start,
            quiet_to=end,
            history=history,
            elsewhere=elsewhere,
        )


def _delivery(
    alert: Alert,
    source: Source,
    c: Concerned,
    channel: str,
    decision: Decision,
    assessment: Assessment,
) -> Delivery:
    return Delivery(
        alert,
        c,
        channel,
        decision.action,
        decision.reason,
        source.event,
        str(source.thread),
        assessment.before,
        assessment.after,
    )


def _at_once(decision: Decision, channel: str) -> Outcome | None:
    """The outcome of a decision that is carried out at once; None for one that waits."""
    match decision.action:
        case Action.SEND:
            return Outcome.SENT
        case Action.SILENT:
            return Outcome.SILENT if CAN_BE_SILENT[channel] else Outcome.RECORDED
        case Action.DROP:
            return Outcome.DROPPED
        case _:
            return None
