"""The verdict on a run: what is counted, to which fault it belongs, and what has to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.chaos.hand import Struck
from alerting.chaos.judge import Judgement, Row
from alerting.chaos.report import Criterion
from alerting.chaos.scenarios import Scenario
from alerting.chaos.watch import Doubted, Line, silence_s

#: Beyond this share of an alert only what is in doubt is left, and that waits by design.
_MOST = 0.97

#: After a cancel is committed no message may come later than this.
_CANCEL_S = 1.0


@dataclass(frozen=True, slots=True)
class Course:
    """What the criteria look at. `chunks`: work left open. cancel_s: from the cancel's commit to
    the alert's last message."""

    scenario: Scenario
    judgement: Judgement
    struck: Sequence[Struck]
    planned: int
    recovery_s: Sequence[float | None]
    in_doubt_elsewhere: int
    window: int
    chunks: int
    stuck: bool
    cancel_s: float | None
    providers: Mapping[str, int]


def attribute(doubted: Sequence[Doubted], struck: Sequence[Struck]) -> int:
    """Add what was found in doubt to the fault that caused it; returns how many none did.

    That is the last one before that hit a worker with this chunk, else the last that hit a worker
    at all: what a worker claimed in the moment of its end is in nobody's list. What was found in
    doubt once is settled; in doubt anew, the chunk has met another fault since.
    """
    elsewhere = 0
    found: dict[int, datetime] = {}
    for d in sorted(doubted, key=lambda d: d.at):
        before = [s for s in struck if s.processes and s.at <= d.at]
        since = found.get(d.chunk)
        owners = [s for s in before if d.chunk in s.chunks and (since is None or s.at > since)]
        found[d.chunk] = d.at
        if not before:
            elsewhere += d.count
        else:
            (owners or before)[-1].in_doubt += d.count
    return elsewhere


def recoveries(struck: Sequence[Struck], lines: Sequence[Line]) -> list[float | None]:
    """For each fault the longest silence of all carriers from it to the next; None where it came
    so late that only what is in doubt was left."""
    times = sorted(line.at for line in lines)
    if not times:
        return [None] * len(struck)
    most = times[int((len(times) - 1) * _MOST)]
    ends = [s.at for s in struck[1:]] + [most]
    found: list[float | None] = []
    for s, end in zip(struck, ends, strict=True):
        until = min(most, max(end, s.lifted_at or end))
        found.append(None if s.at >= most else silence_s(times, s.at, until))
    return found


def last_after_s(committed_at: datetime | None, lines: Sequence[Line]) -> float | None:
    """Seconds from the cancel's commit to the alert's last message; 0 where none came after."""
    if committed_at is None or not lines:
        return None
    last = max(line.at for line in lines)
    return max(timedelta(0), last - committed_at).total_seconds()


def disagreements(lines: Sequence[Line], rows: Mapping[int, Row]) -> int:
    """SMS whose state in the ledger is not what the carrier made of it."""
    says = {"delivered": "delivered", "undelivered": "failed", "failed": "failed"}
    count = 0
    for line in lines:
        row = rows.get(line.ref) if line.ref is not None else None
        # Of a doubled one either receipt may have come first.
        if line.channel == "sms" and row is not None and not row.flagged:
            count += row.state != says.get(line.outcome, line.outcome)
    return count


def criteria(course: Course, *, disagree: int | None = None) -> list[Criterion]:
    """Everything that has to hold in this scenario."""
    j, scenario = course.judgement, course.scenario
    over = max(
        (s.in_doubt - course.window * s.processes for s in course.struck if s.processes), default=0
    )
    found = [
        Criterion("lost", 0, j.lost),
        Criterion("told who should not be", 0, j.unexpected),
        Criterion("unflagged duplicates", 0, j.unflagged),
        Criterion("deliveries without an end", 0, j.unfinished),
        Criterion("work left open", 0, course.chunks + course.stuck),
        Criterion("accepted and unknown to the carriers", 0, j.phantoms),
        Criterion("told and denied by the ledger", 0, j.denied),
        Criterion("in doubt beyond the window", 0, max(0, over)),
        Criterion("faults that did not strike", 0, course.planned - len(course.struck)),
    ]
    network = bool(scenario.proxied)
    if not network:
        # A lost answer leaves a doubt as well; without a network between only a death does.
        found.append(Criterion("in doubt without a kill", 0, course.in_doubt_elsewhere))
    if scenario.undoubled:
        found.append(Criterion("duplicates, flagged or not", 0, j.duplicates))
    if scenario.silence_s is not None:
        longest = max((s for s in course.recovery_s if s is not None), default=None)
        found.append(Criterion("seconds without a message", scenario.silence_s, longest))
    if scenario.two_companies:
        idle = sum(1 for name in ("sms.2", "email.2") if not course.providers.get(name))
        found.append(Criterion("second providers that were never called", 0, idle))
    if scenario.cancelled:
        found.append(Criterion("seconds from cancel to last message", _CANCEL_S, course.cancel_s))
    if disagree is not None:
        found.append(Criterion("SMS the ledger and the carrier disagree on", 0, disagree))
    return found
