"""The evaluator: one alert evaluated for many citizens at once, by the rules of one policy.

The live path and the replay both use it; they differ only in where the facts come from and which
budget answers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple

from alerting.domain.alert import Alert, Severity
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.errors import Unavailable
from alerting.throttle.assess import Assessment, assess, overtaken
from alerting.throttle.belief import Past
from alerting.throttle.budget import Ask, Budget, ClassLimit, Limits
from alerting.throttle.news import Repeat
from alerting.throttle.phase import Phase, phase_of
from alerting.throttle.policy.parse import Policy
from alerting.throttle.quiet import next_slot, quiet_until
from alerting.throttle.rules import HIGH_PRIORITY, AskBudget, Facts, after_budget, decide
from alerting.throttle.silence import Silence, silenced_by

#: How soon the budgets are asked again when they could not be read.
ASK_AGAIN_S = 30.0


class Subject(NamedTuple):
    """One delivery to evaluate: who, where, and what they know.

    A tuple, because a worker creates thousands a second.

    Attributes:
        info_no, area_no, places: As the audience was found.
        time_zone: Empty for the policy's.
        history: Other alerts of the same event that concerned the citizen.
        elsewhere: Alerts of other events that the citizen was notified of.
        participant: False for a citizen who takes no part in a drill.
    """

    citizen_id: int
    info_no: int
    area_no: int
    places: int = 0
    consent: bool = True
    verified: bool = True
    suspended: bool = False
    already_told: bool = False
    time_zone: str = ""
    quiet_from: time | None = None
    quiet_to: time | None = None
    history: Sequence[Past] = ()
    elsewhere: Sequence[Past] = ()
    participant: bool = True


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One delivery's decision.

    Attributes:
        facts: What the decision was based on, for `why`.
    """

    facts: Facts
    decision: Decision

    @property
    def assessment(self) -> Assessment:
        return self.facts.assessment


class AlertEvaluator:
    """Evaluates one alert at one instant.

    Args:
        submitted_at: Since when it has been waiting; bounds how long budgets may delay it.
        order_at: Orders it in its thread; None for its `sent`.
    """

    def __init__(
        self,
        alert: Alert,
        policy: Policy,
        *,
        key: Hashable,
        thread: Hashable,
        state: AlertState,
        expires_at: datetime,
        submitted_at: datetime,
        now: datetime,
        order_at: datetime | None = None,
        can_be_silent: bool,
        silences: Sequence[Silence] = (),
    ) -> None:
        self._alert = alert
        self._policy = policy
        self._key = key
        self._thread = thread
        self._state = state
        self._expires_at = expires_at
        self._order_at = order_at
        self._submitted_at = submitted_at
        self._now = now
        self._can_be_silent = can_be_silent
        self._silences = silences
        self._phases: dict[int, Phase] = {}
        self._silenced: dict[tuple[int, int], str] = {}
        self._without_history: dict[Subject, Facts] = {}
        self._clocks: dict[
            tuple[str, time | None, time | None], tuple[datetime | None, datetime]
        ] = {}
        self._repeat = Repeat(policy.thread.repeat_extreme_s, policy.thread.repeat_severe_s)

    def phase(self, info_no: int) -> Phase:
        """What the alert says to those whose info this is."""
        found = self._phases.get(info_no)
        if found is None:
            found = self._phases[info_no] = phase_of(
                self._alert,
                info_no,
                key=self._key,
                thread=self._thread,
                expires_at=self._expires_at,
                order_at=self._order_at,
            )
        return found

    def overtaken(self, subject: Subject) -> Decision | None:
        """The new decision for a delivery evaluated before, when its alert no longer holds for the
        citizen."""
        found = overtaken(
            self.phase(subject.info_no), subject.history, places=subject.places, now=self._now
        )
        if found is None:
            return None
        reason, until = found
        if until is None:
            return Decision(Action.DROP, reason)
        return Decision(Action.DEFER, reason, min(until, self._expires_at))

    def facts(self, subject: Subject) -> Facts:
        """Everything the rules may know of one delivery; the same object for deliveries with equal
        facts."""
        if subject.history or subject.elsewhere:
            return self._facts(subject)
        # Most citizens of a first alert have no history of it, wherever they are.
        alike = subject._replace(citizen_id=0, places=0, history=(), elsewhere=())
        found = self._without_history.get(alike)
        if found is None:
            found = self._without_history[alike] = self._facts(subject)
        return found

    def _facts(self, subject: Subject) -> Facts:
        now, phase = self._now, self.phase(subject.info_no)
        assessment = assess(
            phase,
            subject.history,
            places=subject.places if subject.history else 0,
            now=now,
            repeat=self._repeat,
        )
        quiet, slot_at = self._hours(subject.time_zone, subject.quiet_from, subject.quiet_to)
        return Facts(
            now=now,
            alert_state=self._state,
            expires_at=min(self._expires_at, phase.valid_until),
            consent=subject.consent,
            verified=subject.verified,
            suspended=subject.suspended,
            already_told=subject.already_told,
            assessment=assessment,
            can_be_silent=self._can_be_silent,
            silenced_by=self._silence(subject.info_no, subject.area_no),
            related_severity=_related_severity(subject, phase, now),
            quiet_until=quiet,
            slot_at=slot_at,
            group_until=self._group_until(assessment.weight),
            rehearsal=self._alert.is_drill,
            participant=subject.participant,
        )

    def _hours(
        self, zone: str, start: time | None, end: time | None
    ) -> tuple[datetime | None, datetime]:
        key = (zone, start, end)
        found = self._clocks.get(key)
        if found is None:
            quiet = quiet_until(self._now, zone=zone, start=start, end=end, policy=self._policy)
            slot = next_slot(self._now, zone=zone, start=start, end=end, policy=self._policy)
            found = self._clocks[key] = (quiet, slot)
        return found

    async def evaluate(
        self, subjects: Sequence[Subject], *, occasion: str, budget: Budget, fallback: Budget
    ) -> list[Evaluated]:
        """Return a decision for each subject, in order, with one call to the budget for all.

        Args:
            occasion: Names this evaluation; asked again under the same name the budget charges
                nothing.
            fallback: Answers when `budget` does not within the policy's timeout. Then Moderate goes
                by the fallback at once; less severe alerts wait for the budget up to the policy's
                `hold_s`. Extreme and Severe never ask the budget and so never wait.
        """
        everyone = [self.facts(s) for s in subjects]
        decided = {id(f): decide(f) for f in {id(f): f for f in everyone}.values()}
        answers = [decided[id(f)] for f in everyone]
        asking = [n for n, a in enumerate(answers) if isinstance(a, AskBudget)]
        asks = [Ask(subjects[n].citizen_id, everyone[n].assessment.weight) for n in asking]
        limits, timeout_s = limits_of(self._policy), self._policy.redis.timeout_s
        patient = False
        try:
            replies = await budget.ask(occasion, asks, limits, timeout_s=timeout_s) if asks else []
        except Unavailable:
            replies = await fallback.ask(occasion, asks, limits)
            held_until = self._submitted_at + timedelta(seconds=self._policy.redis.hold_s)
            patient = self._now < held_until
        for n, ask, reply in zip(asking, asks, replies, strict=True):
            if patient and ask.severity is not Severity.MODERATE:
                until = self._now + timedelta(seconds=ASK_AGAIN_S)
                answers[n] = Decision(Action.DEFER, Reason.NO_BUDGET, until)
            else:
                answers[n] = after_budget(everyone[n], reply)
        return [
            Evaluated(f, a)
            for f, a in zip(everyone, answers, strict=True)
            if isinstance(a, Decision)
        ]

    def charges(self, subjects: Sequence[Subject], evaluated: Sequence[Evaluated]) -> list[Ask]:
        """What high-priority messages take from budgets that were not asked; charged afterwards."""
        return [
            Ask(s.citizen_id, j.assessment.weight)
            for s, j in zip(subjects, evaluated, strict=True)
            if j.decision.action is Action.SEND
            and j.assessment.weight in HIGH_PRIORITY
            and not j.facts.rehearsal
        ]

    def _group_until(self, weight: Severity) -> datetime:
        wait = self._policy.group_wait
        wait_s = {
            Severity.MODERATE: wait.moderate_s,
            Severity.MINOR: wait.minor_s,
            Severity.UNKNOWN: wait.routine_s,
        }.get(weight, 0)
        return self._submitted_at + timedelta(seconds=wait_s) if wait_s else self._now

    def _silence(self, info_no: int, area_no: int) -> str:
        key = (info_no, area_no)
        if key not in self._silenced:
            found = silenced_by(self._alert, info_no, area_no, self._silences, self._now)
            self._silenced[key] = "" if found is None else found.created_by
        return self._silenced[key]


def limits_of(policy: Policy) -> Limits:
    """The policy's budget section as the budget's own type."""
    b = policy.budget
    return Limits(
        spacing_s=b.spacing_s,
        moderate=ClassLimit(b.moderate.at_once, b.moderate.per_day),
        minor=ClassLimit(b.minor.at_once, b.minor.per_day),
        routine=ClassLimit(b.routine.at_once, b.routine.per_day),
    )


def _related_severity(subject: Subject, phase: Phase, now: datetime) -> Severity | None:
    """The most severe danger of the same hazard and place that the citizen was notified of and
    that is still in force."""
    elsewhere = [p for p in subject.elsewhere if p.places & subject.places or p.phase.ends]
    ended = {p.phase.thread for p in elsewhere if p.notified and p.phase.ends}
    notified = [
        p.phase.severity
        for p in elsewhere
        if p.notified
        and not p.over
        and p.phase.thread not in ended
        and p.phase.hazard == phase.hazard
        and p.phase.expires_at > now
    ]
    return min(notified, key=lambda s: s.rank, default=None)
