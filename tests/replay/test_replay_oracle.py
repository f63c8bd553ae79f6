"""The judge must be able to find the throttle wrong: it catches whatever suppresses too much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from traces import NOON, an_alert, its_end

from alerting.domain.alert import Alert, Category, MsgType, ResponseType, Severity, Urgency
from alerting.domain.decision import Reason, Verdict
from alerting.replay.concern import Concerned
from alerting.replay.delivery import AT_ONCE, Delivery, Outcome
from alerting.replay.oracle import Findings, Oracle

SEND, SILENT, DROP, DEFER = Verdict.SEND, Verdict.SILENT, Verdict.DROP, Verdict.DEFER


class Day:
    """Alerts and what was decided for one citizen, told to an oracle."""

    def __init__(self, quiet: tuple[float, float] = (0, 0)) -> None:
        low, high = (NOON + timedelta(seconds=s) for s in quiet)
        self.oracle = Oracle(lambda _, at: low <= at < high)
        self.changes: list[str] = []

    def told(
        self,
        alert: Alert,
        verdict: Verdict,
        *,
        event: str = "",
        incident: str | None = None,
        area: str = "district=D1",
        info_no: int = 0,
        citizen: int = 0,
    ) -> Delivery:
        info = alert.infos[info_no] if alert.infos else None
        delivery = Delivery(
            alert,
            Concerned(citizen, info_no if info else -1, 0, 1, area),
            (info.expires if info else None) or alert.sent + timedelta(days=1),
            verdict,
            Reason.NEW,
            event or alert.identifier,
            incident,
        )
        if self.oracle.judged(delivery):
            self.changes.append(alert.identifier)
        if verdict in AT_ONCE:
            self.oracle.settled(delivery, AT_ONCE[verdict], alert.sent)
        return delivery

    def later(self, delivery: Delivery, outcome: Outcome, at_s: float) -> None:
        self.oracle.settled(delivery, outcome, _at(at_s))

    @property
    def findings(self) -> Findings:
        return self.oracle.finish()


def _at(at_s: float) -> datetime:
    return NOON + timedelta(seconds=at_s)


def _missed(steps: Sequence[tuple[Alert, Verdict]]) -> int:
    day = Day()
    for alert, verdict in steps:
        day.told(alert, verdict)
    return day.findings.state_changes_missed


FIRST = an_alert("first")
MODERATE = an_alert("moderate", severity=Severity.MODERATE)


def test_a_dropped_first_alert_is_missed() -> None:
    assert _missed([(FIRST, DROP)]) == 1
    assert _missed([(FIRST, SEND)]) == 0
    assert _missed([(FIRST, SILENT)]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.EXTREME},
        {"severity": Severity.MODERATE},
        {"urgency": Urgency.FUTURE},
        {"response_types": (ResponseType.EVACUATE,)},
        {"response_types": ()},
        {"instruction": "Leave by the eastern road."},
    ],
)
def test_a_dropped_change_is_missed(change: dict[str, Any]) -> None:
    update = an_alert("update", at_s=600, to=(FIRST,), **change)
    assert _missed([(FIRST, SEND), (update, DROP)]) == 1
    assert _missed([(FIRST, SEND), (update, SILENT)]) == 0


@pytest.mark.parametrize(
    "wording",
    [
        {"headline": "Other words", "description": "More of them"},
        {"urgency": Urgency.EXPECTED},
        {"language": "fr", "instruction": "Montez à l'étage."},
        {"instruction": "  Go\nUPSTAIRS. "},
    ],
)
def test_a_dropped_wording_is_not(wording: dict[str, Any]) -> None:
    update = an_alert("update", at_s=600, to=(FIRST,), **wording)
    assert _missed([(FIRST, SEND), (update, DROP)]) == 0


def test_a_dropped_end_is_missed_by_those_who_were_told() -> None:
    for end in (
        its_end("end", at_s=600, to=(FIRST,)),
        an_alert("cancel", at_s=600, to=(FIRST,), kind=MsgType.CANCEL),
        its_end("unlinked", at_s=600),
    ):
        assert _missed([(FIRST, SEND), (end, DROP)]) == 1
        assert _missed([(FIRST, SILENT), (end, DROP)]) == 1
        # Nobody was told of the danger: it is that which is missed, not its end.
        assert _missed([(FIRST, DROP), (end, DROP)]) == 1


def test_an_end_may_come_after_the_danger_ran_out_but_not_days_after() -> None:
    late = its_end("late", at_s=7 * 3600, to=(FIRST,))
    assert _missed([(FIRST, SEND), (late, DROP)]) == 1
    too_late = its_end("too late", at_s=40 * 3600, to=(FIRST,))
    assert _missed([(FIRST, SEND), (too_late, DROP)]) == 0


def test_a_danger_that_begins_again_is_news_again() -> None:
    end = its_end("end", at_s=600, to=(FIRST,))
    again = an_alert("again", at_s=1200, to=(FIRST, end))
    assert _missed([(FIRST, SEND), (end, SEND), (again, DROP)]) == 1
    ran_out = an_alert("ran out", at_s=7 * 3600, to=(FIRST,))
    assert _missed([(FIRST, SEND), (ran_out, DROP)]) == 1


def test_the_same_said_again_without_a_reference_changes_nothing() -> None:
    again = an_alert("again", at_s=600)
    graver = an_alert("graver", at_s=600, severity=Severity.EXTREME)
    elsewhere = an_alert("elsewhere", at_s=600)
    assert _missed([(FIRST, SEND), (again, DROP)]) == 0
    assert _missed([(FIRST, SEND), (graver, DROP)]) == 1
    assert _missed([(an_alert("short", lasts_s=60), SEND), (again, DROP)]) == 1
    day = Day()
    day.told(FIRST, SEND)
    day.told(elsewhere, DROP, area="district=D2")
    assert day.findings.state_changes_missed == 1


def test_another_agencys_copy_may_go_where_the_citizen_is_as_gravely_told() -> None:
    def missed(copy: Alert, **first: Any) -> int:
        day = Day()
        day.told(FIRST, first.pop("verdict", SEND), event="e", incident=first.get("incident"))
        day.told(copy, DROP, event=first.get("event", "e"), incident=first.get("other"))
        return day.findings.state_changes_missed

    copy = an_alert("copy", at_s=600, sender="b@example.org")
    assert missed(copy) == 0
    # The throttle's word is not taken for everything.
    assert missed(copy, event="another") == 1
    assert missed(copy, verdict=DROP) == 2
    assert missed(copy, incident="1", other="2") == 1
    assert missed(copy, event="another", incident="1", other="1") == 0
    fire = an_alert("fire", at_s=600, sender="b@example.org", categories=(Category.FIRE,))
    assert missed(fire) == 1
    graver = an_alert("g", at_s=600, sender="b@example.org", severity=Severity.EXTREME)
    assert missed(graver) == 1
    later = an_alert("l", at_s=7 * 3600, sender="b@example.org")
    assert missed(later) == 1


def test_a_change_of_what_to_do_is_not_excused_by_another_agencys_older_advice() -> None:
    copy = an_alert("copy", at_s=60, sender="b@example.org")
    leave = an_alert("leave", at_s=600, to=(FIRST,), response_types=(ResponseType.EVACUATE,))
    day = Day()
    for alert, verdict in ((FIRST, SEND), (copy, SEND), (leave, DROP)):
        day.told(alert, verdict, event="e")
    assert day.findings.state_changes_missed == 1


def test_an_end_waits_while_another_agency_says_it_goes_on() -> None:
    copy = an_alert("copy", at_s=60, sender="b@example.org")
    end = its_end("end", at_s=600, to=(FIRST,))
    its_other = its_end("other end", at_s=900, to=(copy,), sender="b@example.org")

    def missed(last: Verdict, **weaker: Any) -> int:
        day = Day()
        other = an_alert("copy", at_s=60, sender="b@example.org", **weaker)
        for alert, verdict in ((FIRST, SEND), (other, DROP), (end, DROP), (its_other, last)):
            day.told(alert, verdict, event="e")
        return day.findings.state_changes_missed

    assert missed(SEND) == 0
    # Then it is the other's end that must reach them.
    assert missed(DROP) == 1
    # And a lesser danger going on does not replace the end of a graver one.
    assert missed(SEND, severity=Severity.MINOR) == 1


def test_what_waits_is_judged_by_its_end() -> None:
    for outcome, at_s, expected in (
        (Outcome.SENT, 3600, 0),
        (Outcome.SILENT, 3600, 0),
        (Outcome.DIGESTED, 3600, 0),
        (Outcome.EXPIRED, 6 * 3600, 1),
        (Outcome.DROPPED, 3600, 1),
        (Outcome.DIGESTED, 7 * 3600, 1),
        (Outcome.SUPERSEDED, 3600, 1),
    ):
        day = Day()
        day.later(day.told(MODERATE, DEFER), outcome, at_s)
        assert day.findings.state_changes_missed == expected, (outcome, at_s)


def test_what_waits_for_ever_is_missed() -> None:
    day = Day()
    day.told(MODERATE, DEFER)
    assert day.findings.missed_by == {"never settled": 1}


def test_a_newer_version_pays_for_the_one_it_replaced_when_it_is_told() -> None:
    lesser = an_alert("lesser", at_s=600, to=(MODERATE,), severity=Severity.MINOR)
    for outcome, expected in ((Outcome.DIGESTED, 0), (Outcome.EXPIRED, 2)):
        day = Day()
        first = day.told(MODERATE, Verdict.DIGEST)
        second = day.told(lesser, Verdict.DIGEST)
        day.later(first, Outcome.SUPERSEDED, 600)
        day.later(second, outcome, 3600)
        assert day.findings.state_changes_missed == expected


def test_a_danger_that_came_and_went_while_it_waited_is_missed_unless_its_end_is_told() -> None:
    for verdict, expected in ((DROP, 1), (SILENT, 0)):
        day = Day()
        first = day.told(MODERATE, Verdict.DIGEST)
        day.later(first, Outcome.SUPERSEDED, 600)
        day.told(its_end("end", at_s=600, to=(MODERATE,)), verdict)
        assert day.findings.state_changes_missed == expected


def test_extreme_may_not_even_wait() -> None:
    extreme = an_alert("x", severity=Severity.EXTREME)

    def suppressed(*steps: tuple[Alert, Verdict]) -> int:
        day = Day()
        for alert, verdict in steps:
            day.told(alert, verdict, event="e")
        return day.findings.extreme_suppressed

    for verdict in (SILENT, DEFER, Verdict.DIGEST, DROP):
        assert suppressed((extreme, verdict)) == 1
    assert suppressed((extreme, SEND)) == 0
    raised = an_alert("y", at_s=60, to=(FIRST,), severity=Severity.EXTREME)
    assert suppressed((FIRST, SEND), (raised, SILENT)) == 1
    again = an_alert("z", at_s=60, to=(extreme,), severity=Severity.EXTREME)
    assert suppressed((extreme, SEND), (again, SILENT)) == 0
    assert suppressed((extreme, DROP), (again, SILENT)) == 2
    end = its_end("end", at_s=30, to=(extreme,))
    assert suppressed((extreme, SEND), (end, SEND), (again, DROP)) == 1


def test_what_had_expired_when_it_was_sent_changes_nothing() -> None:
    gone = an_alert("gone", lasts_s=0, severity=Severity.EXTREME)
    day = Day()
    day.told(gone, DROP)
    assert (day.findings.state_changes, day.findings.extreme_suppressed) == (0, 0)


def test_quiet_hours_hold_for_all_below_severe() -> None:
    night = (0.0, 3600.0)

    def violations(*steps: tuple[Alert, Verdict]) -> int:
        day = Day(night)
        for alert, verdict in steps:
            day.told(alert, verdict)
        return day.findings.quiet_hour_violations

    assert violations((MODERATE, SEND)) == 1
    assert violations((MODERATE, SILENT)) == 0
    assert violations((FIRST, SEND)) == 0
    # Who was woken for a danger may be woken for its end.
    assert violations((FIRST, SEND), (its_end("e", at_s=60, to=(FIRST,)), SEND)) == 0
    assert violations((MODERATE, SILENT), (its_end("e", at_s=60, to=(MODERATE,)), SEND)) == 1
    day = Day(night)
    waiting = day.told(MODERATE, DEFER)
    day.later(waiting, Outcome.SENT, 1800)
    day.oracle.digest_sent(0, Severity.MODERATE, _at(1800))
    day.oracle.digest_sent(0, Severity.MODERATE, _at(5400))
    assert day.findings.quiet_hour_violations == 2


def test_each_citizen_has_their_own_story() -> None:
    day = Day()
    day.told(FIRST, SEND, citizen=0)
    day.told(FIRST, DROP, citizen=1)
    assert (day.findings.state_changes, day.findings.state_changes_missed) == (2, 1)
    assert day.findings.examples == [("first", 1)]


def test_threads_that_become_one_are_one() -> None:
    other = an_alert("other", at_s=60, sender="a@example.org", event="Storm surge")
    both = an_alert("both", at_s=120, to=(FIRST, other))
    end = its_end("end", at_s=180, to=(both,))
    day = Day()
    for alert, verdict in ((FIRST, SEND), (other, SEND), (both, DROP), (end, SEND)):
        day.told(alert, verdict)
    again = its_end("again", at_s=240, to=(other,))
    day.told(again, DROP)
    assert day.findings.state_changes_missed == 0
