"""What an alert means to one citizen, given what they were told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import Certainty, MsgType, ResponseType, Severity, Urgency
from alerting.domain.decision import Reason
from alerting.throttle.assess import INTERRUPTING, Assessment, assess
from alerting.throttle.belief import Past
from alerting.throttle.news import Repeat
from alerting.throttle.phase import Phase

T0 = datetime(2026, 11, 1, 6, tzinfo=UTC)
WORDS = ("Flood", "Leave", "the", "valley", "floor", "by", "the", "north", "road", "now")
FIRST = Phase(
    key=1,
    thread="a",
    sender="police@example.org",
    sent_at=T0,
    expires_at=T0 + timedelta(hours=6),
    valid_until=T0 + timedelta(hours=6),
    msg_type=MsgType.ALERT,
    hazard="flood",
    severity=Severity.SEVERE,
    urgency=Urgency.EXPECTED,
    responses=frozenset({ResponseType.PREPARE}),
    certainty=Certainty.LIKELY,
    onset_at=T0 + timedelta(hours=2),
    language="en",
    words=WORDS,
    text=b"text",
    ends=False,
    tell_again=False,
)


@dataclass
class Citizen:
    """Somebody who is told whatever an assessment lets through."""

    past: list[Past] = field(default_factory=list)

    def meets(
        self, phase: Phase, *, places: int = 1, minutes: float | None = None, over: bool = False
    ) -> Assessment:
        now = phase.sent_at if minutes is None else T0 + timedelta(minutes=minutes)
        found = assess(phase, self.past, places=places, now=now, repeat=Repeat(300, 1800))
        silent = found.reason in {
            Reason.TEXT_ONLY,
            Reason.EXTENDED,
            Reason.PARTLY_ENDED,
            Reason.OVER,
        }
        notified = found.reason in INTERRUPTING or silent
        self.past.append(Past(phase, places, notified, silent, over, now))
        return found


def later(minutes: float, **changes: object) -> Phase:
    """An update of the first alert, so many minutes after it."""
    values = {
        "key": minutes,
        "sent_at": T0 + timedelta(minutes=minutes),
        "msg_type": MsgType.UPDATE,
    } | changes
    return replace(FIRST, **values)  # type: ignore[arg-type]


def test_first_alert_is_new() -> None:
    found = Citizen().meets(FIRST)
    assert found == Assessment(
        Reason.NEW, Severity.SEVERE, "none", "active Severe Expected Prepare"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, Reason.IDENTICAL),
        ({"text": b"other"}, Reason.TEXT_ONLY),
        ({"expires_at": T0 + timedelta(hours=5)}, Reason.TEXT_ONLY),
        ({"expires_at": T0 + timedelta(hours=6, seconds=40)}, Reason.IDENTICAL),
        ({"expires_at": T0 + timedelta(hours=9)}, Reason.EXTENDED),
        ({"onset_at": T0 + timedelta(hours=1)}, Reason.ONSET),
        ({"onset_at": None}, Reason.ONSET),
        ({"onset_at": T0 + timedelta(hours=3)}, Reason.TEXT_ONLY),
        ({"certainty": Certainty.OBSERVED}, Reason.TEXT_ONLY),
        ({"certainty": Certainty.POSSIBLE}, Reason.CERTAINTY),
        ({"severity": Severity.EXTREME}, Reason.ESCALATED),
        ({"severity": Severity.MODERATE}, Reason.EASED),
        ({"urgency": Urgency.IMMEDIATE}, Reason.URGENCY),
        ({"responses": frozenset({ResponseType.EVACUATE})}, Reason.RESPONSE),
        ({"responses": frozenset()}, Reason.IDENTICAL),
        ({"words": (*WORDS[:-3], "south", *WORDS[-2:]), "text": b"else"}, Reason.INSTRUCTION),
        ({"words": WORDS[:-1], "text": b"else"}, Reason.INSTRUCTION),
        ({"words": tuple(w.upper() for w in WORDS), "text": b"else"}, Reason.TEXT_ONLY),
        ({"language": "de"}, Reason.INSTRUCTION),
        ({"tell_again": True}, Reason.INSISTED),
        ({"tell_again": True, "ends": True}, Reason.ENDED),
        ({"ends": True}, Reason.ENDED),
    ],
)
def test_update_interrupts_only_for_certain_changes(
    change: dict[str, object], reason: Reason
) -> None:
    citizen = Citizen()
    citizen.meets(FIRST)
    assert citizen.meets(later(10, **change)).reason is reason


def test_another_place_of_the_citizen_is_news() -> None:
    citizen = Citizen()
    citizen.meets(FIRST, places=0b01)
    assert citizen.meets(later(5), places=0b11).reason is Reason.ENTERED
    assert citizen.meets(later(9), places=0b10).reason is Reason.IDENTICAL


def test_late_older_version_is_not_sent() -> None:
    citizen = Citizen()
    citizen.meets(later(30))
    assert citizen.meets(later(10, severity=Severity.EXTREME), minutes=31).reason is (
        Reason.SUPERSEDED
    )


def test_end_goes_once_to_those_notified() -> None:
    citizen = Citizen()
    end = later(20, ends=True, severity=Severity.MINOR)
    assert citizen.meets(end).reason is Reason.NEVER_TOLD
    citizen = Citizen()
    citizen.meets(FIRST)
    found = citizen.meets(end)
    assert (found.reason, found.weight, found.after) == (Reason.ENDED, Severity.SEVERE, "ended")
    assert citizen.meets(later(25, ends=True)).reason is Reason.ALREADY_ENDED
    assert citizen.meets(later(40)).reason is Reason.NEW


def test_end_waits_for_other_alerts_of_the_event() -> None:
    citizen = Citizen()
    citizen.meets(FIRST)
    copy = replace(FIRST, key="b1", thread="b", sender="fire@example.org", sent_at=later(1).sent_at)
    assert citizen.meets(copy).reason is Reason.COVERED
    assert citizen.meets(later(20, ends=True)).reason is Reason.GOES_ON
    end = replace(copy, key="b2", ends=True, sent_at=later(30).sent_at)
    assert citizen.meets(end).reason is Reason.ENDED


def test_cancelled_copy_does_not_delay_the_end() -> None:
    citizen = Citizen()
    citizen.meets(FIRST)
    copy = replace(FIRST, key="b1", thread="b", sender="fire@example.org", sent_at=later(1).sent_at)
    citizen.meets(copy, over=True)
    assert citizen.meets(later(20, ends=True)).reason is Reason.ENDED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, Reason.COVERED),
        ({"text": b"x", "words": ("Other", "words")}, Reason.COVERED),
        ({"severity": Severity.MODERATE}, Reason.COVERED),
        ({"severity": Severity.EXTREME}, Reason.ESCALATED),
        ({"hazard": "fire"}, Reason.NEW),
        ({"responses": frozenset({ResponseType.EVACUATE})}, Reason.RESPONSE),
        ({"responses": frozenset({ResponseType.MONITOR})}, Reason.COVERED),
        ({"expires_at": T0 + timedelta(hours=9)}, Reason.EXTENDED),
    ],
)
def test_copy_of_another_agency_is_withheld_unless_it_adds(
    change: dict[str, object], reason: Reason
) -> None:
    citizen = Citizen()
    citizen.meets(FIRST)
    copy = later(5, thread="b", sender="fire@example.org", msg_type=MsgType.ALERT, **change)
    assert citizen.meets(copy).reason is reason


def test_repeated_severe_alert_interrupts_after_a_while() -> None:
    citizen = Citizen()
    siren = replace(
        FIRST,
        severity=Severity.EXTREME,
        urgency=Urgency.IMMEDIATE,
        expires_at=T0 + timedelta(minutes=10),
    )
    citizen.meets(siren)

    def again(minutes: float) -> Reason:
        return citizen.meets(
            replace(
                siren,
                key=minutes,
                thread=minutes,
                sent_at=T0 + timedelta(minutes=minutes),
                expires_at=T0 + timedelta(minutes=minutes + 10),
            )
        ).reason

    # The silent ones in between do not put the next loud one off.
    assert [again(m) for m in (0.5, 3, 5, 8, 10, 25)] == [
        Reason.IDENTICAL,
        Reason.EXTENDED,
        Reason.REPEATED,
        Reason.EXTENDED,
        Reason.REPEATED,
        Reason.NEW,
    ]


def test_repeat_after_silent_update_interrupts() -> None:
    citizen = Citizen()
    siren = replace(FIRST, severity=Severity.EXTREME, urgency=Urgency.IMMEDIATE)
    citizen.meets(siren)
    update = replace(siren, key=2, sent_at=later(3).sent_at, text=b"x", msg_type=MsgType.UPDATE)
    assert citizen.meets(update).reason is Reason.TEXT_ONLY
    again = replace(siren, key=3, thread="b", sent_at=later(6).sent_at)
    assert citizen.meets(again).reason is Reason.REPEATED


def test_copy_of_extreme_is_silent_only_after_one_heard() -> None:
    extreme = replace(FIRST, severity=Severity.EXTREME)
    citizen = Citizen()
    citizen.meets(extreme)
    fire = replace(extreme, sender="fire@example.org")
    found = [
        citizen.meets(replace(fire, key=m, thread=m, sent_at=later(m).sent_at)).reason
        for m in (2, 4, 6, 8, 12)
    ]
    assert found == [
        Reason.TEXT_ONLY,
        Reason.IDENTICAL,
        Reason.REPEATED,
        Reason.IDENTICAL,
        Reason.IDENTICAL,
    ]


def test_extended_end_can_wait_until_before_the_old_end() -> None:
    citizen = Citizen()
    citizen.meets(FIRST)
    longer = later(10, expires_at=T0 + timedelta(hours=9))
    assert citizen.meets(longer).until == FIRST.expires_at - timedelta(minutes=15)
    late = later(5 * 60 + 50, expires_at=T0 + timedelta(hours=10))
    notified = [Past(FIRST, 1, notified=True, silent=False, over=False, at=T0)]
    found = assess(late, notified, places=1, now=late.sent_at, repeat=Repeat(1, 1))
    assert (found.reason, found.until) == (Reason.EXTENDED, None)


def test_newest_of_waiting_extensions_is_sent() -> None:
    notified = Past(FIRST, 1, notified=True, silent=False, over=False, at=T0)
    older, newer = (later(m, thread=m, expires_at=T0 + timedelta(hours=m)) for m in (9, 10))
    waits = Past(newer, 1, notified=False, silent=False, over=False, at=T0, waits=True)

    def found(phase: Phase, *past: Past, places: int = 1) -> Reason:
        due = T0 + timedelta(hours=5, minutes=45)
        return assess(phase, past, places=places, now=due, repeat=Repeat(300, 1800)).reason

    assert found(older, notified, waits) is Reason.SUPERSEDED
    assert found(newer, notified, replace(waits, phase=older)) is Reason.EXTENDED
    assert found(older, replace(notified, places=3), waits, places=3) is Reason.EXTENDED


def test_waiting_alert_is_identical_to_what_was_sent_since() -> None:
    siren = replace(FIRST, severity=Severity.EXTREME, urgency=Urgency.IMMEDIATE)
    waited = replace(siren, key=2, thread="b", sent_at=later(1).sent_at)
    since = replace(siren, key=3, thread="c", sent_at=later(4).sent_at)
    past = [
        Past(s, 1, notified=True, silent=False, over=False, at=s.sent_at) for s in (siren, since)
    ]
    now = since.sent_at + timedelta(minutes=6)
    found = assess(waited, past, places=1, now=now, repeat=Repeat(300, 1800))
    assert found.reason is Reason.IDENTICAL


def test_correction_below_severe_is_silent() -> None:
    citizen = Citizen()
    citizen.meets(replace(FIRST, severity=Severity.MODERATE))
    found = later(5, severity=Severity.MODERATE, words=("Other",), text=b"x", onset_at=None)
    assert citizen.meets(found).reason is Reason.TEXT_ONLY


def test_expired_alert_is_no_longer_known() -> None:
    citizen = Citizen()
    citizen.meets(FIRST)
    found = citizen.meets(later(6 * 60 + 1, expires_at=T0 + timedelta(hours=12)))
    assert (found.reason, found.before) == (Reason.NEW, "expired")


def test_withheld_alert_was_not_told() -> None:
    past = [Past(FIRST, 1, notified=False, silent=False, over=False, at=T0)]
    found = assess(later(5), past, places=1, now=T0 + timedelta(minutes=5), repeat=Repeat(1, 1))
    assert found.reason is Reason.NEW


PHASES = st.builds(
    lambda minutes, thread, severity, urgency, ends, text: replace(
        FIRST,
        key=(minutes, thread),
        thread=thread,
        sender=f"{thread}@example.org",
        sent_at=T0 + timedelta(minutes=minutes),
        expires_at=T0 + timedelta(minutes=minutes + 60),
        severity=severity,
        urgency=urgency,
        msg_type=MsgType.UPDATE if minutes else MsgType.ALERT,
        ends=ends,
        text=text,
    ),
    st.integers(0, 240),
    st.sampled_from("ab"),
    st.sampled_from(Severity),
    st.sampled_from(Urgency),
    st.booleans(),
    st.sampled_from([b"x", b"y"]),
)


@given(st.lists(st.tuples(PHASES, st.integers(1, 3)), max_size=12))
def test_withheld_alert_is_always_known_to_the_citizen(
    steps: list[tuple[Phase, int]],
) -> None:
    """Invariants 1 and 2: a danger is only withheld from who was told as much and is in it."""
    citizen = Citizen()
    for phase, places in sorted(steps, key=lambda s: s[0].sent_at):
        before = [p for p in citizen.past if p.notified]
        found = citizen.meets(phase, places=places)
        if found.reason in INTERRUPTING or found.reason is Reason.SUPERSEDED:
            continue
        if phase.ends:
            assert found.reason in {
                Reason.NEVER_TOLD,
                Reason.ALREADY_ENDED,
                Reason.GOES_ON,
                Reason.PARTLY_ENDED,
            }
            if found.reason is Reason.NEVER_TOLD:
                assert not before
            continue
        enough = [
            p
            for p in before
            if not p.phase.ends
            and p.phase.severity.rank <= phase.severity.rank
            and p.phase.expires_at > phase.sent_at
        ]
        assert enough
        assert not places & ~_all(before)


def _all(past: list[Past]) -> int:
    places = 0
    for p in past:
        places |= p.places
    return places
