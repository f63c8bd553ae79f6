"""The judge must be able to find the throttle wrong: it catches whatever suppresses too much.

Every decision here is made up, so that the judge alone is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from traces import NOON, an_alert, its_end

from alerting.domain.alert import (
    Alert,
    Certainty,
    MsgType,
    NamedValue,
    ResponseType,
    Severity,
    Urgency,
)
from alerting.domain.decision import Action, Reason
from alerting.replay.judge.oracle import Oracle
from alerting.replay.judge.oracle_findings import Findings
from alerting.replay.replay_delivery import Concerned, Delivery, Outcome

SEND, SILENT, DROP, DEFER = Action.SEND, Action.SILENT, Action.DROP, Action.DEFER

Step = tuple[Alert, Action]


class Day:
    """Alerts and what was decided for citizens, told to an oracle."""

    def __init__(
        self, *channels: str, quiet: tuple[float, float] = (0, 0), inside: set[int] | None = None
    ) -> None:
        low, high = (NOON + timedelta(seconds=s) for s in quiet)
        self.channels = channels or ("push",)
        self.oracle = Oracle(
            lambda _citizen, at, until: low <= at < high < until,
            lambda _alert: inside or set(),
            lambda _citizen: self.channels,
        )

    def deliver(
        self,
        alert: Alert,
        action: Action,
        *,
        incident: str | None = None,
        reason: Reason = Reason.TEXT_ONLY,
        channel: str | None = None,
        spots: int = 1,
        citizen: int = 0,
    ) -> Delivery:
        info_no = 0 if alert.infos else -1
        concerned = Concerned(citizen, info_no, 0, 1, "district=D1", spots)
        channel = channel or self.channels[0]
        delivery = Delivery(alert, concerned, channel, action, reason)
        if incident is not None:
            self.oracle.played(alert, incident)
        self.oracle.judged(delivery)
        outcome = {SEND: Outcome.SENT, DROP: Outcome.DROPPED}.get(action)
        if action is SILENT:
            outcome = Outcome.RECORDED if channel == "sms" else Outcome.SILENT
        if outcome is not None:
            self.oracle.settled(delivery, outcome, alert.sent)
        return delivery

    def later(
        self, delivery: Delivery, outcome: Outcome, at_s: float, reason: Reason | None = None
    ) -> None:
        self.oracle.settled(delivery, outcome, _at(at_s), reason)

    @property
    def findings(self) -> Findings:
        return self.oracle.finish()

    @property
    def missed(self) -> list[tuple[str, str]]:
        """The change and the reason of each that was missed."""
        missed = self.findings.missed
        return [(f.change, f.reason) for f in sorted(missed.elements())]


def _at(at_s: float) -> datetime:
    return NOON + timedelta(seconds=at_s)


def _missed(steps: Sequence[Step], *channels: str) -> list[str]:
    """What of the steps is missed."""
    day = Day(*channels)
    for alert, action in steps:
        day.deliver(alert, action)
    return [change for change, _ in day.missed]


FIRST = an_alert("first")
EXTREME = an_alert("extreme", severity=Severity.EXTREME)
MODERATE = an_alert("moderate", severity=Severity.MODERATE)


# What the judge could not see before: each is a fault that was found on the product.


def test_oracle_separates_two_earthquakes() -> None:
    small = an_alert("small", severity=Severity.EXTREME, event="Earthquake M5.1")
    great = an_alert(
        "great", at_s=7200, severity=Severity.EXTREME, event="Earthquake M7.4", sender="b@x"
    )
    day = Day()
    day.deliver(small, SEND)
    day.deliver(great, DROP, reason=Reason.COVERED)
    assert day.missed == [("begin", "covered")]
    assert _missed([(small, SEND), (great, SEND)]) == []
    # Replaced on the phone two hours later, nobody looks at it.
    assert _missed([(small, SEND), (great, SILENT)]) == ["begin"]


def test_oracle_demands_reversed_headline() -> None:
    go = an_alert("go", headline="Avalanche: GO TO THE VALLEY FLOOR now")
    other = "Avalanche: LEAVE THE VALLEY FLOOR now"
    leave = an_alert("leave", at_s=600, to=(go,), lasts_s=5 * 3600, headline=other)
    day = Day("sms")
    day.deliver(go, SEND)
    day.deliver(leave, SILENT)
    assert day.missed == [("text", "text-only")]
    assert _missed([(go, SEND), (leave, SILENT)], "push") == ["text"]
    assert _missed([(go, SEND), (leave, SEND)], "sms") == []
    assert _missed([(go, SEND), (leave, SILENT)], "email") == []


def test_oracle_reads_guidance_in_any_field() -> None:
    north = an_alert("north", instruction=None, description="Go to the school on the NORTH bank.")
    south = an_alert(
        "south", at_s=60, to=(north,), instruction=None, headline="Flood, says north",
        description="Go to the school on the SOUTH bank.", lasts_s=5 * 3600,
    )  # fmt: skip
    assert _missed([(north, SEND), (south, DROP)], "sms") == ["text"]
    # What is not shown beside an instruction is not read.
    more = an_alert("first", at_s=60, to=(FIRST,), lasts_s=5 * 3600, description="It has rained.")
    assert _missed([(FIRST, SEND), (more, DROP)], "sms") == []


def test_oracle_demands_extension_before_the_old_end() -> None:
    longer = an_alert("first", at_s=1800, to=(FIRST,), lasts_s=12 * 3600)
    for outcome, at_s, expected in (
        (Outcome.SENT, 5 * 3600, ({}, {})),
        (Outcome.SENT, 6 * 3600 + 1, ({}, {"extension": 1})),
        (Outcome.DROPPED, 5 * 3600, ({"extension": 1}, {})),
    ):
        day = Day("sms")
        day.deliver(FIRST, SEND)
        day.later(day.deliver(longer, DEFER), outcome, at_s)
        missed, late = ({f.change: n for f, n in c.items()} for c in _faults(day))
        assert (missed, late) == expected
    assert _missed([(FIRST, SEND), (longer, SILENT)], "push") == []
    assert _missed([(FIRST, SEND), (longer, SILENT)], "sms") == ["extension"]


def test_oracle_accepts_one_message_for_many_extensions() -> None:
    steps = [(FIRST, SEND)]
    for no in range(1, 5):
        longer = an_alert("first", at_s=no * 600, to=(FIRST,), lasts_s=(6 + no) * 3600)
        steps.append((longer, DROP))
    assert _missed(steps, "sms") == ["extension"]
    last = an_alert("first", at_s=3000, to=(FIRST,), lasts_s=12 * 3600)
    assert _missed([*steps, (last, SEND)], "sms") == []
    assert _missed([*steps, (its_end("end", at_s=3600, to=(FIRST,)), SEND)], "sms") == []


def test_oracle_ignores_repeated_reading() -> None:
    longer = an_alert("longer", at_s=600, to=(MODERATE,), severity=Severity.MODERATE)
    day = Day("sms")
    day.deliver(MODERATE, SEND)
    waits = day.deliver(longer, Action.DIGEST)
    day.deliver(replace(longer), DROP, reason=Reason.IDENTICAL)
    day.later(waits, Outcome.DIGESTED, 3600)
    assert day.missed == []


def test_oracle_accepts_end_named_separately() -> None:
    ending = (NamedValue("eventEndingTime", (NOON + timedelta(hours=9)).isoformat()),)
    first = an_alert("first", parameters=ending)
    renewed = an_alert("first", at_s=3600, to=(first,), lasts_s=7 * 3600, parameters=ending)
    assert _missed([(first, SEND), (renewed, DROP)], "sms") == []


def test_oracle_demands_earlier_onset_before_it() -> None:
    first = an_alert("first", onset=_at(5 * 3600), urgency=Urgency.EXPECTED)
    sooner = an_alert(
        "first", at_s=600, to=(first,), lasts_s=6 * 3600 - 600, onset=_at(7200),
        urgency=Urgency.EXPECTED,
    )  # fmt: skip
    assert _missed([(first, SEND), (sooner, DROP)]) == ["earlier onset"]
    assert _missed([(first, SEND), (sooner, SEND)]) == []
    assert _missed([(first, SEND), (sooner, SILENT)]) == []
    soon = replace(sooner, infos=(replace(sooner.infos[0], onset=_at(1800)),))
    assert _missed([(first, SEND), (soon, SILENT)]) == ["earlier onset"]


def test_oracle_demands_higher_certainty() -> None:
    possible = an_alert("first", certainty=Certainty.POSSIBLE)
    seen = an_alert("first", at_s=60, to=(possible,), lasts_s=6 * 3600 - 60)
    day = Day("sms")
    day.deliver(possible, SEND)
    day.deliver(seen, DROP, reason=Reason.IDENTICAL)
    assert day.missed == [("certainty", "identical")]
    likely = an_alert("first", at_s=60, to=(FIRST,), certainty=Certainty.LIKELY)
    assert _missed([(FIRST, SEND), (likely, DROP)], "push") == ["extension"]


def test_oracle_finds_first_alert_lost_in_quiet_hours() -> None:
    day = Day("sms")
    delivery = day.deliver(MODERATE, Action.DIGEST, reason=Reason.QUIET_HOURS)
    day.later(delivery, Outcome.EXPIRED, 6 * 3600, Reason.QUIET_HOURS)
    found = day.findings
    assert [(f.change, f.reason) for f in found.missed] == [("begin", "quiet-hours, expired")]
    assert found.expired == {Severity.MODERATE: 1}


def _faults(day: Day) -> tuple[Any, Any]:
    found = day.findings
    return found.missed, found.late


# What a change is.


def test_oracle_finds_dropped_first_alert() -> None:
    assert _missed([(FIRST, DROP)]) == ["begin"]
    assert _missed([(FIRST, SEND)]) == []
    assert _missed([(FIRST, SILENT)]) == ["begin"]
    assert _missed([(MODERATE, SILENT)]) == []
    assert _missed([(MODERATE, SILENT)], "sms") == ["begin"]


@pytest.mark.parametrize(
    ("change", "name", "loud"),
    [
        ({"severity": Severity.EXTREME}, "severity", True),
        ({"severity": Severity.MODERATE}, "severity eased", False),
        ({"urgency": Urgency.FUTURE}, "urgency", False),
        ({"response_types": (ResponseType.EVACUATE,)}, "response types", True),
        ({"response_types": ()}, "response types", False),
        ({"instruction": "Leave by the eastern road."}, "text", True),
        ({"instruction": "Go 2 floors upstairs."}, "text", True),
    ],
)
def test_oracle_finds_dropped_change(change: dict[str, Any], name: str, loud: bool) -> None:
    update = an_alert("first", at_s=600, to=(FIRST,), lasts_s=6 * 3600 - 600, **change)
    assert _missed([(FIRST, SEND), (update, DROP)]) == [name]
    assert _missed([(FIRST, SEND), (update, SEND)]) == []
    assert _missed([(FIRST, SEND), (update, SILENT)]) == ([name] if loud else [])


@pytest.mark.parametrize(
    "same",
    [
        {"urgency": Urgency.EXPECTED},
        {"language": "fr", "headline": "Crue", "instruction": "Montez à l'étage."},
        {"instruction": "  Go\nUPSTAIRS! "},
        {"instruction": "<p>Go <b>upstairs</b>.</p>"},
        {"description": "It has rained."},
    ],
)
def test_oracle_ignores_unchanged_text(same: dict[str, Any]) -> None:
    update = an_alert("first", at_s=600, to=(FIRST,), lasts_s=6 * 3600 - 600, **same)
    day = Day()
    day.deliver(FIRST, SEND)
    day.deliver(update, SEND)
    found = day.findings
    assert found.changes.total() == 1
    assert (found.unchanged, found.needless, found.needless_share) == (1, 1, 1.0)


def test_oracle_ignores_return_to_known_text() -> None:
    other = an_alert("m", at_s=60, to=(MODERATE,), severity=Severity.MODERATE)
    back = an_alert(
        "moderate", at_s=120, to=(MODERATE, other), severity=Severity.MODERATE, lasts_s=21_480
    )
    assert _missed([(MODERATE, SEND), (other, DROP)], "sms") == ["extension", "text"]
    assert _missed([(MODERATE, SEND), (other, DROP), (back, DROP)], "sms") == []


def test_oracle_demands_entered_area() -> None:
    grown = an_alert("first", at_s=600, to=(FIRST,), lasts_s=6 * 3600 - 600)
    for spots, expected in ((1, []), (3, [("area entered", "text-only")])):
        day = Day()
        day.deliver(FIRST, SEND, spots=1)
        day.deliver(grown, DROP, spots=spots)
        assert day.missed == expected


def test_oracle_finds_dropped_end() -> None:
    over = an_alert("over", at_s=600, to=(FIRST,), lasts_s=0)
    for end in (
        its_end("end", at_s=600, to=(FIRST,)),
        an_alert("cancel", at_s=600, to=(FIRST,), kind=MsgType.CANCEL),
        its_end("unlinked", at_s=600),
        over,
    ):
        day = Day(inside={0})
        for alert, action in ((FIRST, SEND), (end, DROP)):
            day.deliver(alert, action)
        assert [c for c, _ in day.missed] == ["end"]
        # Nobody was told of the danger: it is that which is missed, not its end.
        assert _missed([(FIRST, DROP), (end, DROP)]) == ["begin"]
        assert _missed([(FIRST, SEND), (end, SILENT)]) == ["end"]
        assert _missed([(FIRST, SEND), (end, SILENT)], "email") == []


def test_oracle_finds_unplanned_end() -> None:
    day = Day()
    day.deliver(FIRST, SEND)
    day.oracle.played(its_end("end", at_s=600, to=(FIRST,)))
    assert day.missed == [("end", "not planned")]


def test_oracle_demands_late_end_only_for_a_while() -> None:
    late = its_end("late", at_s=7 * 3600, to=(FIRST,))
    assert _missed([(FIRST, SEND), (late, DROP)]) == ["end"]
    too_late = its_end("too late", at_s=40 * 3600, to=(FIRST,))
    assert _missed([(FIRST, SEND), (too_late, DROP)]) == []


def test_oracle_finds_wrong_end() -> None:
    day = Day(inside={1})
    day.deliver(FIRST, SEND)
    day.deliver(FIRST, SEND, citizen=1)
    end = its_end("end", at_s=600, to=(FIRST,))
    day.deliver(end, SEND)
    day.deliver(end, SEND, citizen=1)
    assert day.findings.wrong_ends == 1


def test_oracle_demands_danger_that_begins_again() -> None:
    end = its_end("end", at_s=600, to=(FIRST,))
    again = an_alert("again", at_s=1200, to=(FIRST, end))
    assert _missed([(FIRST, SEND), (end, SEND), (again, DROP)]) == ["begin"]
    ran_out = an_alert("ran out", at_s=7 * 3600, to=(FIRST,))
    assert _missed([(FIRST, SEND), (ran_out, DROP)]) == ["begin"]


# What is one danger.


def test_oracle_demands_repeated_siren_after_five_minutes() -> None:
    again = replace(FIRST, identifier="again", sent=_at(600))
    reworded = an_alert("reworded", at_s=600)
    assert _missed([(FIRST, SEND), (again, DROP)]) == []
    assert _missed([(FIRST, SEND), (reworded, DROP)]) == ["begin"]
    sirens = [replace(EXTREME, identifier=str(s), sent=_at(s)) for s in (120, 240, 480)]
    assert _missed([(EXTREME, SEND), *((s, SILENT) for s in sirens[:2])]) == []
    # A silent one does not put off the next.
    assert _missed([(EXTREME, SEND), *((s, SILENT) for s in sirens)]) == ["begin"]
    # The next that is heard says the end of those before it, too.
    lasting = [replace(s, infos=(replace(s.infos[0], expires=_at(25_000)),)) for s in sirens]
    assert _missed([(EXTREME, SEND), (lasting[0], SILENT)], "sms") == ["extension"]
    assert _missed([(EXTREME, SEND), (lasting[0], SILENT), (lasting[2], SEND)], "sms") == []


def test_oracle_identifies_danger_by_incident_truth_or_name() -> None:
    other = an_alert("other", at_s=60, sender="b@x", lasts_s=6 * 3600 - 60)
    flood = replace(FIRST, incidents=("flood-1",))
    assert _missed([(FIRST, SEND), (other, DROP)]) == ["begin"]
    assert _missed([(flood, SEND), (replace(other, incidents=("flood-1",)), DROP)]) == []
    for mine, theirs, expected in (("1", "1", []), ("1", "2", [("begin", "text-only")])):
        day = Day()
        day.deliver(FIRST, SEND, incident=mine)
        day.deliver(other, DROP, incident=theirs)
        assert day.missed == expected
    rolling = an_alert("first", at_s=600, headline="The gauge is at 4 m", lasts_s=5 * 3600)
    assert _missed([(FIRST, SEND), (rolling, DROP)]) == ["text"]


def test_oracle_counts_other_agency_for_news_only() -> None:
    def missed(**more: Any) -> list[str]:
        lasts_s = more.pop("lasts_s", 5 * 3600)
        copy = an_alert("copy", at_s=60, sender="b@x", lasts_s=lasts_s, **more)
        day = Day()
        day.deliver(FIRST, SEND, incident="1")
        day.deliver(copy, DROP, incident="1")
        return [c for c, _ in day.missed]

    assert missed() == []
    assert missed(severity=Severity.EXTREME) == ["severity"]
    assert missed(response_types=(ResponseType.EVACUATE,)) == ["response types"]
    assert missed(response_types=(ResponseType.MONITOR,)) == []
    assert missed(lasts_s=12 * 3600) == ["extension"]


def test_oracle_accepts_silent_extreme_of_another_agency() -> None:
    for at_s, action, expected in (
        (240, SILENT, []),
        (240, DROP, ["begin"]),
        (360, SILENT, ["begin"]),
    ):
        copy = an_alert("copy", at_s=at_s, sender="b@x", severity=Severity.EXTREME)
        assert _missed([(EXTREME, SEND), (copy, action)]) == expected
    more = an_alert(
        "more", at_s=60, sender="b@x", severity=Severity.EXTREME,
        response_types=(ResponseType.EVACUATE,),
    )  # fmt: skip
    assert _missed([(EXTREME, SEND), (more, SILENT)]) == ["begin"]


def test_oracle_lets_end_wait_for_another_agency() -> None:
    end = its_end("end", at_s=600, to=(FIRST,))

    def missed(last: Action, **weaker: Any) -> list[str]:
        day = Day(inside={0})
        other = an_alert("copy", at_s=60, sender="b@x", lasts_s=5 * 3600, **weaker)
        its_other = its_end("other end", at_s=900, to=(other,), sender="b@x")
        for alert, action in ((FIRST, SEND), (other, DROP), (end, DROP), (its_other, last)):
            day.deliver(alert, action, incident="1")
        return [c for c, _ in day.missed]

    assert missed(SEND) == []
    # Then it is the other's end that must reach them.
    assert missed(DROP) == ["end"]
    # And a lesser danger going on does not replace the end of a graver one.
    assert missed(DROP, severity=Severity.MINOR) == ["end", "end"]


# When and how it is heard.


def test_oracle_counts_severe_changes_late_after_a_minute() -> None:
    for alert, at_s, late in ((FIRST, 30, 0), (FIRST, 600, 1), (MODERATE, 5 * 3600, 0)):
        day = Day()
        day.later(day.deliver(alert, DEFER), Outcome.SENT, at_s)
        found = day.findings
        assert (found.missed.total(), found.late.total()) == (0, late)


def test_oracle_judges_waiting_by_its_outcome() -> None:
    for outcome, at_s, expected in (
        (Outcome.SENT, 3600, []),
        (Outcome.SILENT, 3600, []),
        (Outcome.DIGESTED, 3600, []),
        (Outcome.EXPIRED, 6 * 3600, ["quiet-hours, expired"]),
        (Outcome.DROPPED, 3600, ["quiet-hours"]),
        (Outcome.DIGESTED, 7 * 3600, ["quiet-hours"]),
        (Outcome.SUPERSEDED, 3600, ["quiet-hours, superseded"]),
    ):
        day = Day()
        waits = day.deliver(MODERATE, DEFER, reason=Reason.GROUPED)
        day.later(waits, outcome, at_s, Reason.QUIET_HOURS)
        assert [reason for _, reason in day.missed] == expected, (outcome, at_s)


def test_oracle_finds_endless_waiting() -> None:
    day = Day()
    day.deliver(MODERATE, DEFER)
    assert day.missed == [("begin", "never settled")]


def test_oracle_accepts_newer_version_instead() -> None:
    lesser = an_alert("lesser", at_s=600, to=(MODERATE,), severity=Severity.MINOR)
    for outcome, expected in ((Outcome.DIGESTED, 0), (Outcome.EXPIRED, 2)):
        day = Day()
        first = day.deliver(MODERATE, Action.DIGEST)
        second = day.deliver(lesser, Action.DIGEST)
        day.later(first, Outcome.SUPERSEDED, 600)
        day.later(second, outcome, 3600)
        assert day.findings.missed.total() == expected


def test_oracle_finds_danger_that_passed_while_waiting() -> None:
    for action, expected in ((DROP, 1), (SILENT, 0)):
        day = Day(inside={0})
        first = day.deliver(MODERATE, Action.DIGEST)
        day.later(first, Outcome.SUPERSEDED, 600)
        day.deliver(its_end("end", at_s=600, to=(MODERATE,)), action)
        assert day.findings.missed.total() == expected


def test_oracle_accepts_any_waking_channel_but_email() -> None:
    for channels, by, expected in (
        (("push", "sms"), {"push": SILENT, "sms": SEND}, 0),
        (("sms", "email"), {"sms": DROP, "email": SEND}, 1),
        (("email",), {"email": SEND}, 0),
        (("email",), {"email": DROP}, 1),
    ):
        day = Day(*channels)
        for channel, action in by.items():
            day.deliver(FIRST, action, channel=channel)
        assert day.findings.missed.total() == expected, channels


def test_oracle_groups_faults_by_severity_and_channel() -> None:
    day = Day("sms", "email")
    day.deliver(EXTREME, DROP, reason=Reason.COVERED)
    (fault,) = day.findings.missed
    assert fault == (Severity.EXTREME, "sms+email", "begin", "covered")
    (row,) = day.findings.to_json(["anna"])["missed"]
    assert row["count"] == 1
    assert row["examples"] == [{"identifier": "extreme", "citizen": "anna"}]


def test_oracle_ignores_messages_expired_when_sent() -> None:
    gone = an_alert("gone", lasts_s=0, severity=Severity.EXTREME)
    day = Day()
    day.deliver(gone, DROP)
    assert (day.findings.changes.total(), day.findings.unchanged) == (0, 0)


def test_oracle_counts_quiet_hour_violations_below_severe() -> None:
    def violations(*steps: Step, channel: str = "push") -> int:
        day = Day(channel, quiet=(0.0, 3600.0), inside={0})
        for alert, action in steps:
            day.deliver(alert, action)
        return day.findings.quiet_hour_violations

    assert violations((MODERATE, SEND)) == 1
    assert violations((MODERATE, SEND), channel="email") == 0
    assert violations((MODERATE, SILENT)) == 0
    assert violations((FIRST, SEND)) == 0
    # Who was woken for a danger may be woken for its end.
    assert violations((FIRST, SEND), (its_end("e", at_s=60, to=(FIRST,)), SEND)) == 0
    assert violations((MODERATE, SILENT), (its_end("e", at_s=60, to=(MODERATE,)), SEND)) == 1
    day = Day(quiet=(0.0, 3600.0))
    day.later(day.deliver(MODERATE, DEFER), Outcome.SENT, 1800)
    day.oracle.digest_sent(0, Severity.MODERATE, _at(1800))
    day.oracle.digest_sent(0, Severity.MODERATE, _at(5400))
    assert day.findings.quiet_hour_violations == 2


def test_oracle_keeps_citizens_apart() -> None:
    day = Day()
    day.deliver(FIRST, SEND, citizen=0)
    day.deliver(FIRST, DROP, citizen=1)
    found = day.findings
    assert (found.changes.total(), found.missed.total()) == (2, 1)
    assert list(found.examples.values()) == [[("first", 1)]]


def test_oracle_merges_threads() -> None:
    other = an_alert("other", at_s=60, event="Storm surge")
    both = an_alert("other", at_s=120, to=(FIRST, other), lasts_s=6 * 3600 - 60)
    end = its_end("end", at_s=180, to=(both,))
    again = its_end("again", at_s=240, to=(other,))
    day = Day(inside={0})
    for alert, action in ((FIRST, SEND), (other, SEND), (both, DROP), (end, SEND), (again, DROP)):
        day.deliver(alert, action)
    assert day.missed == []
