"""The verdict on a run: the figures, the fault that caused each, and the criteria."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lab.chaos.fault_injector import Injected
from lab.chaos.judge import Judgement, Row
from lab.chaos.plan import Kind
from lab.chaos.report import Criterion
from lab.chaos.scenarios import Scenario
from lab.chaos.watch import Doubted, Line, silence_s

#: Beyond this share of an alert only what is in doubt is left, and that waits by design.
_MOST = 0.97

#: Places where a connection that breaks may have carried a message.
_PROVIDERS = frozenset({"http", "smtp"})

#: After a cancel is committed no message may come later than this.
_CANCEL_S = 1.0


#: Within these a second alert is answered, and its first message is with a carrier.
_ANSWER_S = 1.0
_FIRST_S = 2.0


@dataclass(frozen=True, slots=True)
class SecondAlert:
    """The second alert, which was sent while a fault lasted.

    Attributes:
        answered_s: Until its submission was answered.
        first_s: Until its first message; None where there was none.
    """

    judgement: Judgement
    answered_s: float
    first_s: float | None


@dataclass(frozen=True, slots=True)
class RunContext:
    """The figures that criteria use.

    Attributes:
        resumed_s: For each fault, from its end to the next message.
        silence_beside_s: While some channels were silent, the longest silences of the others.
        second: None where no second alert was sent.
        window, channels: A process has at most a window open on each channel.
        chunks: Work left open.
        cancel_s: From the cancel's commit to the alert's last message.
    """

    scenario: Scenario
    judgement: Judgement
    struck: Sequence[Injected]
    planned: int
    recovery_s: Sequence[float | None]
    in_doubt_elsewhere: int
    window: int
    channels: int
    chunks: int
    stuck: bool
    cancel_s: float | None
    providers: Mapping[str, int]
    resumed_s: Sequence[float | None] = ()
    silence_beside_s: Sequence[float | None] = ()
    second: SecondAlert | None = None


def attribute(doubted: Sequence[Doubted], struck: Sequence[Injected]) -> int:
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


def recoveries(struck: Sequence[Injected], lines: Sequence[Line]) -> list[float | None]:
    """For each fault the longest silence of all carriers from it to the next; None where it came
    so late that only what is in doubt was left."""
    times = sorted(line.at for line in lines)
    if not times:
        return [None] * len(struck)
    most = _almost_all(times)
    ends = [s.at for s in struck[1:]] + [most]
    found: list[float | None] = []
    for s, end in zip(struck, ends, strict=True):
        until = min(most, max(end, s.lifted_at or end))
        found.append(None if s.at >= most else silence_s(times, s.at, until))
    return found


def resumed_s(struck: Injected, lines: Sequence[Line]) -> float | None:
    """Seconds from the end of a fault to the next message; None where only what is in doubt was
    left by then."""
    times = sorted(line.at for line in lines)
    lifted_at = struck.lifted_at
    if not times or lifted_at is None or lifted_at >= _almost_all(times):
        return None
    return (next(at for at in times if at >= lifted_at) - lifted_at).total_seconds()


def silence_beside_s(struck: Sequence[Injected], lines: Sequence[Line]) -> list[float | None]:
    """While carriers of some channels were ill, the longest silence of each other channel, as long
    as it had more to send than what is in doubt."""
    found: list[float | None] = []
    for s in struck:
        if s.fault.kind is not Kind.CARRIERS:
            continue
        for channel in {line.channel for line in lines} - set(s.fault.how):
            times = sorted(line.at for line in lines if line.channel == channel)
            most = _almost_all(times)
            if s.at < most:
                found.append(silence_s(times, s.at, min(most, s.lifted_at or most)))
    return found


def _almost_all(times: Sequence[datetime]) -> datetime:
    return times[int((len(times) - 1) * _MOST)]


def last_after_s(committed_at: datetime | None, lines: Sequence[Line]) -> float | None:
    """Seconds from the cancel's commit to the alert's last message; 0 where none came after."""
    if committed_at is None or not lines:
        return None
    last = max(line.at for line in lines)
    return max(timedelta(0), last - committed_at).total_seconds()


def disagreements(lines: Sequence[Line], rows: Mapping[int, Row]) -> int:
    """The number of SMS whose state in the ledger differs from the carrier's."""
    says = {"delivered": "delivered", "undelivered": "failed", "failed": "failed"}
    count = 0
    for line in lines:
        row = rows.get(line.ref) if line.ref is not None else None
        # Of a doubled one either receipt may have come first.
        if line.channel == "sms" and row is not None and not row.flagged:
            count += row.state != says.get(line.outcome, line.outcome)
    return count


def criteria(context: RunContext, *, disagree: int | None = None) -> list[Criterion]:
    """All criteria of this scenario.

    A process that dies leaves at most one window for each channel in doubt.
    """
    j, scenario = context.judgement, context.scenario
    most = context.window * context.channels
    over = max((s.in_doubt - most * s.processes for s in context.struck if s.processes), default=0)
    found = [
        Criterion("lost", 0, j.lost),
        Criterion("notified and not expected", 0, j.unexpected),
        Criterion("unflagged duplicates", 0, j.unflagged),
        Criterion("deliveries without an end", 0, j.unfinished),
        Criterion("work left open", 0, context.chunks + context.stuck),
        Criterion("accepted and unknown to the carriers", 0, j.phantoms),
        Criterion("notified and denied by the ledger", 0, j.denied),
        Criterion("in doubt beyond the window", 0, max(0, over)),
        Criterion("faults that did not strike", 0, context.planned - len(context.struck)),
    ]
    if not _PROVIDERS.intersection(scenario.proxied):
        # A provider's lost answer leaves a doubt as well; without a network between only a death
        # does.
        found.append(Criterion("in doubt without a kill", 0, context.in_doubt_elsewhere))
    if scenario.undoubled:
        found.append(Criterion("duplicates, flagged or not", 0, j.duplicates))
    if scenario.silence_s is not None:
        longest = max((s for s in context.recovery_s if s is not None), default=None)
        found.append(Criterion("seconds without a message", scenario.silence_s, longest))
    if scenario.resume_s is not None:
        longest = max((s for s in context.resumed_s if s is not None), default=None)
        found.append(
            Criterion("seconds from a fault's end to a message", scenario.resume_s, longest)
        )
    if scenario.beside_s is not None:
        longest = max((_or_ever(s) for s in context.silence_beside_s), default=None)
        found.append(
            Criterion("seconds without a message on another channel", scenario.beside_s, longest)
        )
    if scenario.second_alert:
        found += _of_second(context.second)
    if scenario.two_companies:
        idle = sum(1 for name in ("sms.2", "email.2") if not context.providers.get(name))
        found.append(Criterion("second providers that were never called", 0, idle))
    if scenario.cancelled:
        found.append(Criterion("seconds from cancel to last message", _CANCEL_S, context.cancel_s))
    if disagree is not None:
        found.append(Criterion("SMS the ledger and the carrier disagree on", 0, disagree))
    return found


def _of_second(second: SecondAlert | None) -> list[Criterion]:
    j = second.judgement if second else None
    return [
        Criterion("lost of the second alert", 0, j.lost if j else None),
        Criterion("duplicates of the second alert", 0, j.duplicates if j else None),
        Criterion(
            "seconds until the second alert was answered",
            _ANSWER_S,
            second.answered_s if second else None,
        ),
        Criterion(
            "seconds to the second alert's first message",
            _FIRST_S,
            second.first_s if second else None,
        ),
    ]


def _or_ever(s: float | None) -> float:
    return math.inf if s is None else s
