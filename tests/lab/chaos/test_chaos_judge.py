"""The judge finds each thing that can go wrong, and the verdict breaks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from alerting.audience.synthetic import SyntheticCitizen
from alerting.store.schema import CHUNK_SPAN
from lab.chaos.fault_injector import Injected
from lab.chaos.judge import Row, Wanted, judge, of_alert, wanted_of_end
from lab.chaos.plan import Fault, Kind
from lab.chaos.scenarios import SCENARIOS
from lab.chaos.verdict import (
    RunContext,
    SecondAlert,
    attribute,
    criteria,
    disagreements,
    last_after_s,
    recoveries,
    resumed_s,
    silence_beside_s,
)
from lab.chaos.watch import Doubted, Line, silence_s

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALERT, OTHER = UUID(int=1), UUID(int=2)
A, B = "+447700900001", "+447700900002"


def after(s: float) -> datetime:
    return AT + timedelta(seconds=s)


def line(to: str, ref: int | None, s: float = 0.0, outcome: str = "delivered") -> Line:
    return Line(after(s), "sms", to, ref, outcome)


def row(state: str = "accepted", *, flagged: bool = False, alert: UUID = ALERT) -> Row:
    return Row(alert, state, flagged, "new")


EACH = Wanted([frozenset({("sms", A)}), frozenset({("sms", B)})])
TWO = [line(A, 1), line(B, 2)]
ROWS = {1: row(), 2: row()}


def test_judge_finds_no_fault_in_one_message_each() -> None:
    j = judge(EACH, TWO, ROWS)
    assert (j.expected, j.received) == (2, 2)
    wrong = (j.lost, j.unexpected, j.duplicates, j.unflagged, j.unfinished, j.phantoms, j.denied)
    assert wrong == (0,) * 7


def test_judge_finds_lost_and_falsely_claimed() -> None:
    j = judge(EACH, TWO[:1], ROWS)
    assert (j.lost, j.phantoms) == (1, 1)


def test_judge_finds_unexpected_recipient() -> None:
    assert judge(EACH, [*TWO, line("+447700900003", 3)], ROWS).unexpected == 1


def test_judge_flags_duplicates_only_by_the_ledger() -> None:
    twice = [*TWO, line(B, 2, 5)]
    j = judge(EACH, twice, ROWS)
    assert (j.duplicates, j.unflagged) == (1, 1)
    j = judge(EACH, twice, {1: row(), 2: row(flagged=True)})
    assert (j.duplicates, j.unflagged, j.flagged) == (1, 0, 1)


def test_judge_finds_unfinished_and_denied() -> None:
    j = judge(EACH, TWO, {1: row("in_doubt"), 2: row("revoked")})
    assert (j.unfinished, j.denied) == (1, 1)


def test_judge_accepts_another_channel_where_one_is_enough() -> None:
    want = Wanted([frozenset({("sms", A), ("email", "a@example.org")})])
    mail = Line(AT, "email", "a@example.org", 2)
    assert want.missed([mail]) == 0
    assert want.missed([line(A, 1, outcome="undelivered")]) == 1
    assert want.missed([line(A, 1, outcome="undelivered"), mail]) == 0
    # Nothing more could have been done for somebody whose only phone is off.
    assert Wanted([frozenset({("sms", A)})]).missed([line(A, 1, outcome="undelivered")]) == 0


def test_judge_accepts_end_at_another_reached_address_only() -> None:
    both = SyntheticCitizen("1", "en", 0, 0, ("push", "sms"), {"sms": A, "push": "p-1"}, {})
    neither = SyntheticCitizen("2", "en", 0, 0, ("sms",), {"sms": B}, {})
    by_push = Line(AT, "push", "p-1", 4, "delivered")
    want = wanted_of_end([line(A, 1)], [both, neither])
    assert judge(want, [line(A, 3), by_push], {}).unexpected == 0
    assert judge(want, [by_push], {}).lost == 1
    assert judge(want, [line(A, 3), line(B, 5)], {}).unexpected == 1


def test_judge_assigns_lines_to_their_alert() -> None:
    rows = {CHUNK_SPAN: row(), 2 * CHUNK_SPAN: row(alert=OTHER)}
    mine, other = line(A, CHUNK_SPAN), line(A, 2 * CHUNK_SPAN)
    stranger = line(A, None)
    assert of_alert([mine, other, stranger], rows, ALERT) == [mine, stranger]


def test_judge_measures_longest_silence_after_a_fault() -> None:
    times = [after(s) for s in (0, 1, 2, 5, 6, 30)]
    assert silence_s(times, after(1.5), after(5.5)) == 3.0
    assert silence_s(times, after(2.5), after(2.6)) == pytest.approx(0.1)
    assert silence_s(times, after(30), after(40)) is None


def struck(s: float, target: str, chunks: set[int], processes: int = 1) -> Injected:
    return Injected(
        Fault(0.1, Kind.KILL, target), after(s), 0, processes, frozenset(chunks), after(s)
    )


def test_judge_assigns_doubts_to_their_kill() -> None:
    first, second = struck(1, "fast-1/0", {7}), struck(2, "fast-2/0", {8})
    redis = struck(2.5, "redis", set(), 0)
    found = [
        Doubted(after(0.5), 7, 5),
        Doubted(after(3), 7, 10),
        Doubted(after(3), 8, 20),
        Doubted(after(3), 9, 1),
    ]
    assert attribute(found, [first, second, redis]) == 5
    assert (first.in_doubt, second.in_doubt, redis.in_doubt) == (10, 21, 0)


def test_judge_charges_twice_hit_chunk_once_per_fault() -> None:
    """The second hit whoever had just taken the chunk over, before anybody knew that they had."""
    first, second = struck(1, "fast-1", {7, 8}), struck(3, "fast-2/0", set())
    found = [Doubted(after(2), 7, 64), Doubted(after(2), 8, 32), Doubted(after(4), 7, 64)]
    assert attribute(found, [first, second]) == 0
    assert (first.in_doubt, second.in_doubt) == (96, 64)


def test_judge_ends_recovery_at_the_next_fault() -> None:
    lines = [line(A, 1, s / 10) for s in range(100)]
    lines += [line(A, 1, 13 + s / 10) for s in range(100)]
    lines += [line(A, 1, 60)]
    early, late, tail = (struck(s, "redis", set(), 0) for s in (5, 10, 59))
    assert recoveries([early, late, tail], lines) == [pytest.approx(0.1), 3.0, None]


def test_judge_measures_resumption_after_a_fault() -> None:
    lines = [line(A, 1, s) for s in range(100)]
    stopped = replace(struck(5, "postgres", set(), 0), lifted_at=after(7.5))
    assert resumed_s(stopped, lines) == 0.5
    assert resumed_s(replace(stopped, lifted_at=after(98)), lines) is None
    assert resumed_s(replace(stopped, lifted_at=None), lines) is None


def test_judge_measures_other_channels_beside_a_silent_one() -> None:
    silent = Injected(
        Fault(0.1, Kind.CARRIERS, "all", 20, {"name": "silent email", "email": {}}),
        after(10),
        0,
        lifted_at=after(30),
    )
    sms = [line(A, 1, s / 2) for s in range(80)]
    push = [replace(line(A, 1, s), channel="push") for s in (*range(16), *range(21, 50))]
    mail = [replace(line(A, 1, s), channel="email") for s in (1, 90)]
    beside = silence_beside_s([silent], [*sms, *push, *mail])
    assert sorted(s or 0 for s in beside) == [0.5, 6.0]
    # A channel that had ended by then is not waited for.
    ended = [replace(line(A, 1, s), channel="push") for s in range(9)]
    assert silence_beside_s([silent], [*sms, *ended, *mail]) == [0.5]


def test_judge_measures_last_message_after_cancel() -> None:
    assert last_after_s(after(1), [line(A, 1, 1.75)]) == 0.75
    assert last_after_s(after(1), [line(A, 1, 0.5)]) == 0.0
    assert last_after_s(None, TWO) is None


def test_judge_compares_ledger_and_carrier() -> None:
    rows = {1: row("delivered"), 2: row("accepted")}
    assert disagreements(TWO, rows) == 1
    assert disagreements([line(A, 1, outcome="undelivered")], rows) == 1
    assert disagreements([line(A, 1, outcome="undelivered")], {1: row("failed")}) == 0


def context(name: str = "kills") -> RunContext:
    return RunContext(
        scenario=SCENARIOS[name],
        judgement=judge(EACH, TWO, ROWS),
        struck=[struck(1, "fast-1/0", set())],
        planned=1,
        recovery_s=[0.5],
        in_doubt_elsewhere=0,
        window=64,
        channels=3,
        chunks=0,
        stuck=False,
        cancel_s=0.5,
        providers={"sms.2": 1, "email.2": 1},
        resumed_s=[0.5],
        silence_beside_s=[0.5],
        second=SecondAlert(judge(EACH, TWO, ROWS), 0.2, 0.9),
    )


def broken(of: RunContext, **kwargs: int) -> list[str]:
    return [c.name for c in criteria(of, **kwargs) if not c.holds]


def test_criteria_hold_for_a_good_run() -> None:
    assert [broken(context(name)) for name in SCENARIOS] == [[]] * len(SCENARIOS)


def test_criteria_fail_one_by_one() -> None:
    good = context()
    over = struck(1, "fast-1/0", set())
    over.in_doubt = 3 * 64
    assert broken(replace(good, struck=[over])) == []
    over.in_doubt += 1
    assert broken(replace(good, struck=[over])) == ["in doubt beyond the window"]
    assert broken(replace(good, planned=2)) == ["faults that did not strike"]
    assert broken(replace(good, chunks=1)) == ["work left open"]
    assert broken(replace(good, stuck=True)) == ["work left open"]
    assert broken(replace(good, in_doubt_elsewhere=1)) == ["in doubt without a kill"]
    assert broken(replace(context("no-redis"), recovery_s=[2.5])) == ["seconds without a message"]
    slow = replace(context("cancel"), cancel_s=1.5)
    assert broken(slow) == ["seconds from cancel to last message"]
    alone = replace(context("failover"), providers={"sms.1": 9, "email.2": 1})
    assert broken(alone) == ["second providers that were never called"]
    assert broken(replace(context("swap"), in_doubt_elsewhere=1)) == ["in doubt without a kill"]
    late = replace(context("postgres-stopped"), resumed_s=[None, 2.5])
    assert broken(late) == ["seconds from a fault's end to a message"]
    held_up = replace(context("silent-provider"), silence_beside_s=[0.5, None])
    assert broken(held_up) == ["seconds without a message on another channel"]
    never = SecondAlert(judge(EACH, TWO, ROWS), 1.5, None)
    assert broken(replace(context("redis-stopped"), second=never)) == [
        "seconds until the second alert was answered",
        "seconds to the second alert's first message",
    ]
    doubled = judge(EACH, [*TWO, line(B, 2)], {1: row(), 2: row(flagged=True)})
    assert broken(replace(context("restart"), judgement=doubled)) == ["duplicates, flagged or not"]
    assert broken(good, disagree=1) == ["SMS the ledger and the carrier disagree on"]
