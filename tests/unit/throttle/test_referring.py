"""Which alert an alert is about, although senders write references badly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    Reference,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.version import Version
from alerting.throttle.events import referring
from alerting.throttle.events.same import signature

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MET, FIRE = "met@example.org", "fire@example.org"


def alert(identifier: str, *, at_s: float = 0, km_east: float = 0, **changes: object) -> Alert:
    info = Info(
        (Category.MET,),
        "Flood",
        Urgency.IMMEDIATE,
        Severity.SEVERE,
        Certainty.OBSERVED,
        areas=(Area("Port Example", circles=(Circle(54.0, 2.0 + km_east / 65, 2.0),)),),
    )
    plain = Alert(
        identifier,
        MET,
        NOON + timedelta(seconds=at_s),
        Status.ACTUAL,
        MsgType.ALERT,
        Scope.PUBLIC,
        infos=(info,),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def version(of: Alert, *, thread: str = "t", order_s: float | None = None) -> Version[str]:
    at = of.sent if order_s is None else NOON + timedelta(seconds=order_s)
    return Version(
        of.identifier, thread, "e", of.triple, at, of.sent + timedelta(hours=6), of.references
    )


def nobody(_sender: str) -> bool:
    return False


FIRST = alert("a")
END = MsgType.CANCEL


@pytest.mark.parametrize(
    ("reference", "noted"),
    [
        (Reference(MET, "a", NOON), 0),
        (Reference(MET, "a", NOON - timedelta(hours=7)), 1),
        (Reference(MET, "a", NOON + timedelta(seconds=1)), 1),
        (Reference("Met@Example.org", "a", NOON), 0),
        (Reference("somebody@example.org", "A", NOON), 0),
    ],
)
def test_slightly_wrong_reference_finds_its_alert(reference: Reference, noted: int) -> None:
    end = alert("end", at_s=60, msg_type=END, references=(reference,))
    found = referring.referred(end, [version(FIRST)], may_end=nobody)
    assert [v.id for v in found.older] == ["a"]
    assert len(found.notes) == noted
    assert not found.unknown


def test_bare_identifier_finds_alert_of_same_sender() -> None:
    end = alert("end", at_s=60, msg_type=END, loose_references=("a",))
    theirs = replace(FIRST, sender=FIRE)
    found = referring.referred(end, [version(theirs), version(FIRST)], may_end=nobody)
    assert [v.triple.sender for v in found.older] == [MET]


@pytest.mark.parametrize("may", [False, True])
def test_alert_of_another_sender_needs_a_right(may: bool) -> None:
    end = alert("end", at_s=60, sender=FIRE, msg_type=END, references=(FIRST.triple,))
    found = referring.referred(end, [version(FIRST)], may_end=lambda sender: may and sender == MET)
    assert bool(found.older) is may
    assert bool(found.others) is not may


def test_referring_alert_is_ordered_after_its_target() -> None:
    ahead = alert("a", at_s=200)
    update = alert("b", at_s=20, msg_type=MsgType.UPDATE, references=(ahead.triple,))
    found = referring.referred(update, [version(ahead)], may_end=nobody)
    at = referring.order_at(update, found, now=NOON + timedelta(seconds=300))
    assert at > ahead.sent


def test_future_sent_time_is_replaced_by_arrival() -> None:
    assert referring.order_at(alert("a", at_s=9e6), referring.Referred(), now=NOON) == NOON


def test_late_alert_is_ordered_before_its_update() -> None:
    update = alert("b", at_s=20, msg_type=MsgType.UPDATE, references=(FIRST.triple,))
    late = replace(FIRST, sent=NOON + timedelta(seconds=50))
    update = replace(update, references=(late.triple,))
    found = referring.referred(late, [version(update)], may_end=nobody)
    at = referring.order_at(late, found, now=NOON + timedelta(seconds=99))
    assert at < update.sent


def test_what_is_issued_again_after_its_cancel_comes_after_it() -> None:
    """Who cancelled the wrong alert sends the same text once more."""
    cancel = alert("end", at_s=60, msg_type=END, references=(FIRST.triple,))
    again = replace(FIRST, sent=NOON + timedelta(seconds=90))
    found = referring.referred(again, [version(FIRST), version(cancel)], may_end=nobody)
    assert not found.younger
    at = referring.order_at(again, found, now=NOON + timedelta(seconds=99))
    assert at == again.sent
    same_second = replace(FIRST, sent=cancel.sent)
    found = referring.referred(same_second, [version(FIRST), version(cancel)], may_end=nobody)
    assert referring.order_at(same_second, found, now=NOON + timedelta(seconds=99)) > cancel.sent
    late = replace(FIRST, sent=NOON + timedelta(seconds=30))
    found = referring.referred(late, [version(FIRST), version(cancel)], may_end=nobody)
    assert referring.order_at(late, found, now=NOON + timedelta(seconds=99)) < cancel.sent


def test_updates_of_unknown_alert_share_a_thread() -> None:
    lost = Reference(MET, "lost", NOON)
    one = alert("b", at_s=20, msg_type=MsgType.UPDATE, references=(lost,))
    two = alert("c", at_s=20, msg_type=MsgType.UPDATE, references=(lost,))
    found = referring.referred(two, [version(one)], may_end=nobody)
    assert found.threads == ("t",)
    assert referring.order_at(two, found, now=NOON + timedelta(seconds=99)) == two.sent


def test_known_name_is_taken_as_update() -> None:
    again = alert("a", at_s=1800)
    found = referring.referred(again, [version(FIRST)], may_end=nobody)
    taken, note = referring.reissue(again, found)
    assert (taken.msg_type, taken.references) == (MsgType.UPDATE, (FIRST.triple,))
    assert "issued a before" in note


def test_name_reused_after_days_is_another_danger() -> None:
    again = alert("a", at_s=5 * 86400)
    assert not referring.referred(again, [version(FIRST)], may_end=nobody).versions


@pytest.mark.parametrize(
    ("there", "unknown", "state"),
    [
        ([0.0], (), "found"),
        ([0.0, 1.0], (), "held"),
        ([0.0, 500.0], (), "found"),
        ([0.0], ("lost",), "held"),
        ([], (), "nothing"),
        ([], ("lost",), "nothing"),
    ],
)
def test_end_without_known_reference_is_guessed(
    there: list[float], unknown: tuple[str, ...], state: str
) -> None:
    """By how many live alerts of its sender and danger stand on its ground, and how far off."""
    live = [alert(f"l{n}", km_east=km) for n, km in enumerate(there)]
    standing = [(version(a, thread=a.identifier), signature(a)) for a in live]
    end = alert("end", at_s=60, msg_type=END)
    guess = referring.guess(
        end, referring.Referred(unknown=unknown), signature(end), standing, approved=False
    )
    assert ("held" if guess.held else "nothing" if guess.ends_nothing else "found") == state
    if state == "found":
        assert [v.id for v in guess.found.older] == ["l0"]
