"""What a reservation gets, by the reference of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from rate_simulation import DRILL, EXTREME, ROUTINE, SEVERE

from alerting.domain.lane import Lane
from alerting.providers.rate.contract import (
    BLOCK_MOST_US,
    HEADROOM,
    LEAST_SHARE,
    MICRO,
    WHOLE,
    Grant,
    Rate,
)
from alerting.providers.rate.memory_rates import MemoryRateStore

RATE = Rate(1_000)


@dataclass
class ClockedSender:
    """One store and its clock."""

    at: float = 1_790_000_000.0
    rate: Rate = RATE
    store: MemoryRateStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryRateStore(lambda: self.at)

    def ask(self, lane: Lane, tokens: int, tenant: str = "t", unit: int = 1) -> Grant:
        return self.store.decide("sms", lane, tenant, tokens, self.rate, unit=unit)

    def ask_in_vain(self, lane: Lane, tenant: str = "t") -> float:
        """Take all there is; for how long the next one is told to wait."""
        while (grant := self.ask(lane, 1_000, tenant)).granted:
            pass
        return grant.wait_s

    def use_up(self, seconds: float) -> int:
        """Ask for everything, all the time; how much that was."""
        got = 0
        for _ in range(round(seconds * 200)):
            while (grant := self.ask(ROUTINE, 1_000)).granted:
                got += grant.granted
            self.at += 0.005
        return got

    def throttled(self, retry_after_s: float | None = None) -> None:
        self.store.note("sms", self.rate, throttled=True, retry_after_s=retry_after_s)

    def succeeded(self) -> None:
        self.store.note("sms", self.rate, throttled=False)

    @property
    def share(self) -> float:
        return self.store.share("sms")


@pytest.fixture
def sender() -> ClockedSender:
    return ClockedSender()


def ends(grant: Grant) -> float:
    return grant.start_in_s + grant.granted * grant.interval_s


def test_reservations_follow_one_another_at_the_rate(sender: ClockedSender) -> None:
    first, second = sender.ask(ROUTINE, 10), sender.ask(ROUTINE, 10)
    assert first.interval_s == pytest.approx(1 / RATE.per_second / HEADROOM, rel=1e-3)
    assert second.start_in_s == pytest.approx(ends(first), abs=1e-5)


def test_idle_sender_saves_nothing_up(sender: ClockedSender) -> None:
    sender.ask(ROUTINE, 1)
    sender.at += 3_600
    assert -0.01 < sender.ask(ROUTINE, 1).start_in_s <= 0
    assert sender.ask_in_vain(ROUTINE) > 0
    assert sender.use_up(1) <= RATE.per_second * 1.01


@pytest.mark.parametrize("horizon_s", [0.05, 0.2, 0.5])
def test_reservation_below_severe_is_limited_to_the_horizon(horizon_s: float) -> None:
    sender = ClockedSender(rate=Rate(1_000, horizon_s))
    latest = 0.0
    while (grant := sender.ask(ROUTINE, 7)).granted:
        latest = max(latest, ends(grant))
    assert latest == pytest.approx(horizon_s, abs=0.002)
    assert 0 < grant.wait_s < 0.02


def test_severe_reservation_precedes_all_reserved(sender: ClockedSender) -> None:
    epoch = sender.ask(ROUTINE, 1).epoch
    sender.ask_in_vain(ROUTINE)
    grant = sender.ask(EXTREME, 60)
    assert grant.granted == 60
    assert grant.start_in_s <= 0
    assert grant.epoch != epoch
    assert sender.ask(ROUTINE, 1).epoch == grant.epoch


def test_second_severe_reservation_voids_nothing(sender: ClockedSender) -> None:
    first, second = sender.ask(EXTREME, 10), sender.ask(SEVERE, 10)
    assert second.epoch == first.epoch
    assert second.start_in_s == pytest.approx(ends(first), abs=1e-5)


def test_severe_reservation_delays_lower_lanes(sender: ClockedSender) -> None:
    mine = sender.ask(ROUTINE, 10)
    grave = sender.ask(EXTREME, 20)
    assert sender.ask(ROUTINE, 10).start_in_s == pytest.approx(
        ends(mine) + ends(grave) - grave.start_in_s, abs=1e-4
    )


@pytest.mark.parametrize("lane", [ROUTINE, DRILL])
def test_live_severe_alert_keeps_its_share_free(sender: ClockedSender, lane: Lane) -> None:
    usual = sender.ask(lane, 5).interval_s
    sender.ask(SEVERE, 1)
    sender.at += 1
    assert sender.ask(lane, 5).interval_s == pytest.approx(usual / 0.8, rel=1e-3)
    sender.at += 1.1
    assert sender.ask(lane, 5).interval_s == pytest.approx(usual, rel=1e-3)


def test_message_is_not_granted_in_part(sender: ClockedSender) -> None:
    slow = ClockedSender(rate=Rate(1))
    assert slow.ask(ROUTINE, 9, unit=3).granted == 3
    assert sender.ask(ROUTINE, 100, unit=3).granted % 3 == 0


def test_sender_without_rate_is_not_limited() -> None:
    grant = ClockedSender(rate=Rate(0)).ask(ROUTINE, 5_000)
    assert (grant.granted, grant.start_in_s, grant.interval_s) == (5_000, 0, 0)


@pytest.mark.parametrize(
    "wrong", [{"per_second": -1}, {"horizon_s": 0}, {"severe_share": 1}, {"severe_share": -0.1}]
)
def test_impossible_rate_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        Rate(**{"per_second": 1, **wrong})


def test_rate_drops_once_a_second_after_429(sender: ClockedSender) -> None:
    for _ in range(50):
        sender.throttled()
    assert sender.share == 0.7
    sender.at += 1
    sender.throttled()
    assert sender.share == pytest.approx(0.49)
    for _ in range(50):
        sender.at += 1
        sender.throttled()
    assert sender.share == LEAST_SHARE / WHOLE


def test_retry_after_is_respected(sender: ClockedSender) -> None:
    epoch = sender.ask(ROUTINE, 1).epoch
    sender.throttled(30)
    refused = sender.ask(ROUTINE, 1)
    assert (refused.granted, refused.wait_s) == (0, 30)
    assert refused.epoch != epoch
    sender.at += 29.9
    assert sender.ask(ROUTINE, 1).granted == 0
    sender.at += 0.1
    assert sender.ask(ROUTINE, 1).granted == 1


def test_retry_after_is_capped(sender: ClockedSender) -> None:
    sender.throttled(1e9)
    assert sender.ask(ROUTINE, 1).wait_s == BLOCK_MOST_US / MICRO
    sender.throttled(float("nan"))
    assert sender.ask(ROUTINE, 1).wait_s == BLOCK_MOST_US / MICRO


def test_severe_lane_retries_sooner(sender: ClockedSender) -> None:
    sender.throttled(30)
    assert sender.ask(EXTREME, 1).wait_s == 1
    sender.at += 1
    assert sender.ask(EXTREME, 1).granted == 1
    assert sender.ask(ROUTINE, 1).granted == 0


def test_rate_rises_with_use_up_to_the_configured(sender: ClockedSender) -> None:
    sender.throttled()
    shares = []
    for _ in range(8):
        sender.use_up(1.01)
        shares.append(sender.share)
    assert shares[0] == pytest.approx(0.72)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # At last the whole rate, and no more.
    assert sender.use_up(10) == pytest.approx(10_000 * HEADROOM, rel=0.01)


def test_unused_rate_does_not_rise(sender: ClockedSender) -> None:
    sender.throttled()
    for _ in range(200):
        sender.ask(ROUTINE, 10)
        sender.at += 0.1
    assert sender.share == 0.7


def test_rate_after_outage_starts_low_and_doubles(sender: ClockedSender) -> None:
    for _ in range(12):
        sender.throttled()
        sender.at += 1
    for _ in range(15):
        sender.use_up(1.01)
    assert sender.share == 1
    for _ in range(12):
        sender.throttled()
        sender.at += 1
    sender.succeeded()
    assert sender.share <= 0.1
    before = sender.share
    sender.use_up(1.01)
    sender.use_up(1.01)
    assert sender.share == pytest.approx(4 * before)


def test_single_429_is_no_outage(sender: ClockedSender) -> None:
    sender.throttled()
    sender.at += 5
    sender.succeeded()
    sender.at += 3_600
    sender.succeeded()
    assert sender.share == 0.7


def test_tenant_ahead_waits_for_the_others(sender: ClockedSender) -> None:
    for _ in range(20):
        sender.ask(ROUTINE, 1_000, "greedy")
    sender.at += 0.1
    sender.ask(ROUTINE, 1_000, "modest")
    sender.at += 0.01
    got = {"greedy": 0, "modest": 0}
    for _ in range(400):
        for tenant in ("greedy", "greedy", "greedy", "modest"):
            got[tenant] += sender.ask(ROUTINE, 1_000, tenant).granted
        sender.at += 0.01
    assert got["modest"] == pytest.approx(got["greedy"], rel=0.05)


def test_tenant_ahead_does_not_wait_for_absent_ones(sender: ClockedSender) -> None:
    sender.ask(ROUTINE, 1_000, "gone")
    for _ in range(100):
        sender.ask(ROUTINE, 1_000, "here")
        sender.at += 0.05
    assert sender.use_up(1) >= 0.95 * 1_000


def test_lanes_are_fair_independently(sender: ClockedSender) -> None:
    for _ in range(40):
        sender.ask(ROUTINE, 1_000, "a")
        sender.ask(ROUTINE, 1_000, "b")
        sender.at += 0.02
    assert sender.ask(EXTREME, 10, "a").granted == 10


def test_clock_set_back_moves_everything(sender: ClockedSender) -> None:
    sender.ask_in_vain(ROUTINE)
    sender.throttled(2)
    sender.at -= 3_600
    assert sender.ask(ROUTINE, 1).wait_s == pytest.approx(2)
    sender.at += 2.5
    assert sender.ask(ROUTINE, 1).granted == 1


def test_workers_are_counted_while_they_ask(sender: ClockedSender) -> None:
    def workers(*names: str) -> int:
        grants = [sender.store.decide("sms", ROUTINE, "t", 0, RATE, worker=name) for name in names]
        return grants[-1].workers

    assert workers("a", "b", "c", "b") == 3
    sender.at += 9
    assert workers("a") == 3
    sender.at += 2
    assert workers("a") == 1
