"""The gate's rules, each by itself and in their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import Severity
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.throttle.assess import INTERRUPTING, Assessment
from alerting.throttle.budget import Answer, Window
from alerting.throttle.rules import RULES, AskBudget, Facts, after_budget, decide, trace

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
SLOT = NOW + timedelta(hours=2)
OPEN = Facts(
    now=NOW,
    alert_state=AlertState.DELIVERING,
    expires_at=NOW + timedelta(hours=6),
    consent=True,
    verified=True,
    suspended=False,
    already_told=False,
    assessment=Assessment(Reason.NEW, Severity.SEVERE, "none", "active"),
    can_be_silent=True,
    silenced_by="",
    related_severity=None,
    quiet_until=None,
    slot_at=SLOT,
    group_until=NOW,
)


def facts(
    reason: Reason = Reason.NEW, weight: Severity = Severity.MODERATE, **more: object
) -> Facts:
    found = replace(OPEN, assessment=Assessment(reason, weight, "", ""))
    return replace(found, **more)  # type: ignore[arg-type]


def test_first_severe_alert_goes_out() -> None:
    assert decide(OPEN) == Decision(Action.SEND, Reason.NEW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"alert_state": AlertState.CANCELLED}, Reason.CANCELLED),
        ({"alert_state": AlertState.SUPERSEDED}, Reason.SUPERSEDED),
        ({"alert_state": AlertState.EXPIRED}, Reason.EXPIRED),
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"consent": False}, Reason.OPTED_OUT),
        ({"verified": False}, Reason.UNVERIFIED),
        ({"suspended": True}, Reason.SUSPENDED),
        ({"already_told": True}, Reason.ALREADY_TOLD),
        ({"silenced_by": "somebody"}, Reason.SILENCED),
        ({"participant": False}, Reason.NOT_A_PARTICIPANT),
    ],
)
def test_each_rule_drops_with_its_reason(change: dict[str, object], reason: Reason) -> None:
    assert decide(replace(OPEN, **change)) == Decision(Action.DROP, reason)  # type: ignore[arg-type]


def test_moderate_alert_asks_the_budget_by_weight() -> None:
    assert decide(facts()) == AskBudget(Severity.MODERATE)
    assert decide(facts(weight=Severity.UNKNOWN)) == AskBudget(Severity.UNKNOWN)


def test_quiet_hours_defer_moderate_but_never_severe() -> None:
    quiet = {"quiet_until": NOW + timedelta(hours=1)}
    assert decide(facts(**quiet)) == Decision(Action.DIGEST, Reason.QUIET_HOURS, SLOT)
    for weight in (Severity.EXTREME, Severity.SEVERE):
        assert decide(facts(weight=weight, **quiet)) == Decision(Action.SEND, Reason.NEW)


@pytest.mark.parametrize(
    ("reason", "aloud"),
    [
        (Reason.NEW, True),
        (Reason.ESCALATED, True),
        (Reason.ENTERED, True),
        (Reason.ENDED, True),
        (Reason.RESPONSE, False),
        (Reason.EASED, False),
    ],
)
def test_alert_expiring_before_digest_goes_silently(reason: Reason, aloud: bool) -> None:
    short = {"quiet_until": SLOT, "expires_at": SLOT - timedelta(minutes=1)}
    silent = decide(facts(reason, **short))
    assert isinstance(silent, Decision)
    assert silent.action is Action.SILENT
    loud = decide(facts(reason, **short, can_be_silent=False))
    digest = Decision(Action.DIGEST, Reason.QUIET_HOURS, SLOT)
    assert loud == (Decision(Action.SEND, reason) if aloud else digest)


def test_non_urgent_follow_up_waits_for_end_of_quiet_hours() -> None:
    night = {"quiet_until": SLOT - timedelta(hours=1), "expires_at": SLOT - timedelta(minutes=1)}
    found = decide(facts(Reason.NEW, **night, can_be_silent=False))
    assert found == Decision(Action.DEFER, Reason.QUIET_HOURS, SLOT - timedelta(hours=1))


def test_extended_end_is_silent_or_deferred() -> None:
    due_at = NOW + timedelta(hours=3)
    longer = Assessment(Reason.EXTENDED, Severity.SEVERE, "active", "active", due_at)
    assert decide(replace(OPEN, assessment=longer)) == Decision(Action.SILENT, Reason.EXTENDED)
    sms = replace(OPEN, assessment=longer, can_be_silent=False)
    assert decide(sms) == Decision(Action.DEFER, Reason.EXTENDED, due_at)
    due = replace(sms, assessment=replace(longer, until=None))
    assert decide(due) == Decision(Action.SEND, Reason.EXTENDED)


@pytest.mark.parametrize("weight", Severity)
@pytest.mark.parametrize("can_be_silent", [True, False])
@pytest.mark.parametrize("quiet", [NOW + timedelta(hours=1), None])
@pytest.mark.parametrize("silenced_by", ["", "somebody"])
def test_end_of_danger_always_goes_out(
    weight: Severity, can_be_silent: bool, quiet: datetime | None, silenced_by: str
) -> None:
    decision = decide(
        facts(
            Reason.ENDED,
            weight,
            can_be_silent=can_be_silent,
            quiet_until=quiet,
            silenced_by=silenced_by,
            related_severity=Severity.EXTREME,
            group_until=SLOT,
        )
    )
    assert isinstance(decision, Decision)
    night = quiet is not None and weight not in {Severity.EXTREME, Severity.SEVERE}
    assert decision.action in {
        Action.SEND,
        Action.SILENT if can_be_silent else Action.SEND,
        # Nobody is woken for the end of what would not have woken them.
        Action.DIGEST if night else Action.SEND,
    }


def test_severer_alert_inhibits_lower_ones_only() -> None:
    notified = {"related_severity": Severity.SEVERE}
    assert decide(facts(**notified)) == Decision(Action.SILENT, Reason.INHIBITED)
    assert decide(facts(related_severity=Severity.MODERATE)) == AskBudget(Severity.MODERATE)


def test_moderate_alert_waits_for_its_group() -> None:
    waits = {"group_until": NOW + timedelta(seconds=30)}
    assert decide(facts(**waits)) == Decision(
        Action.DEFER, Reason.GROUPED, NOW + timedelta(seconds=30)
    )
    assert decide(facts(weight=Severity.SEVERE, **waits)) == Decision(Action.SEND, Reason.NEW)


def test_hourly_refusal_defers_and_daily_refusal_digests() -> None:
    soon = after_budget(facts(), Answer(False, Window.HOUR, 600))
    assert soon == Decision(Action.DEFER, Reason.BUDGET_HOUR, NOW + timedelta(seconds=600))
    late = after_budget(facts(), Answer(False, Window.HOUR, 3 * 3600))
    assert late == Decision(Action.DIGEST, Reason.BUDGET_HOUR, SLOT)
    day = after_budget(facts(), Answer(False, Window.DAY, 600))
    assert day == Decision(Action.DIGEST, Reason.BUDGET_DAY, SLOT)
    assert after_budget(facts(), Answer(True, Window.NONE, 0)).action is Action.SEND


def test_rehearsal_ignores_quiet_hours() -> None:
    decision = decide(facts(rehearsal=True, quiet_until=SLOT))
    assert decision == Decision(Action.SEND, Reason.NEW)


def test_every_rule_has_an_answer() -> None:
    asked = trace(facts(quiet_until=SLOT))
    assert [a.rule for a in asked] == [r.__name__ for r in RULES]
    answers = {a.rule: a.answer for a in asked}
    assert answers["quiet"] == Decision(Action.DIGEST, Reason.QUIET_HOURS, SLOT)
    assert answers["expired"] is None


def test_every_reason_has_a_sentence() -> None:
    assert all(r.sentence.endswith(".") for r in Reason)


@given(
    state=st.sampled_from(list(AlertState)),
    left_s=st.integers(-5, 5),
    consent=st.booleans(),
    verified=st.booleans(),
    suspended=st.booleans(),
    notified=st.booleans(),
    reason=st.sampled_from(sorted(INTERRUPTING)),
    weight=st.sampled_from([Severity.EXTREME, Severity.SEVERE]),
    quiet=st.booleans(),
    more_severe=st.sampled_from([None, *Severity]),
)
def test_severe_change_goes_out_unless_expired_or_opted_out(
    state: AlertState,
    left_s: int,
    consent: bool,
    verified: bool,
    suspended: bool,
    notified: bool,
    reason: Reason,
    weight: Severity,
    quiet: bool,
    more_severe: Severity | None,
) -> None:
    found = decide(
        facts(
            reason,
            weight,
            alert_state=state,
            expires_at=NOW + timedelta(seconds=left_s),
            consent=consent,
            verified=verified,
            suspended=suspended,
            already_told=notified,
            quiet_until=SLOT if quiet else None,
            related_severity=more_severe,
        )
    )
    over = state in {AlertState.CANCELLED, AlertState.SUPERSEDED, AlertState.EXPIRED} or left_s <= 0
    free = consent and verified and not suspended and not notified and not over
    assert isinstance(found, Decision)
    assert (found.action is Action.SEND) == free


ANY = {
    "alert_state": st.sampled_from(AlertState),
    "expires_at": st.sampled_from([NOW - timedelta(hours=1), NOW + timedelta(hours=6)]),
    "consent": st.booleans(),
    "verified": st.booleans(),
    "suspended": st.booleans(),
    "already_told": st.booleans(),
    "assessment": st.builds(
        Assessment, st.sampled_from(Reason), st.sampled_from(Severity), st.just(""), st.just("")
    ),
    "can_be_silent": st.booleans(),
    "silenced_by": st.sampled_from(["", "somebody"]),
    "related_severity": st.sampled_from([None, *Severity]),
    "quiet_until": st.sampled_from([None, NOW + timedelta(hours=1)]),
    "group_until": st.sampled_from([NOW, NOW + timedelta(minutes=5)]),
}


@given(st.fixed_dictionaries(ANY))
def test_drill_always_drops_non_participants(
    any_: dict[str, object],
) -> None:
    outsider = replace(OPEN, **any_, rehearsal=True, participant=False)  # type: ignore[arg-type]
    assert decide(outsider) == Decision(Action.DROP, Reason.NOT_A_PARTICIPANT)


@given(st.fixed_dictionaries(ANY))
def test_drill_never_waits_for_a_digest(any_: dict[str, object]) -> None:
    """A digest holds several alerts; a drill in one would go out beside what is real."""
    decision = decide(replace(OPEN, **any_, rehearsal=True))  # type: ignore[arg-type]
    assert isinstance(decision, Decision)
    assert decision.action in {Action.SEND, Action.SILENT, Action.DROP}
