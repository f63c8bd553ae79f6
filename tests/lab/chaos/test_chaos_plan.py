"""Plans: the same from the same seed, in order, and within what there is to strike."""

from __future__ import annotations

from random import Random

import pytest

from alerting.errors import BadInput
from lab.chaos.plan import GROUPS, Kind, Parameters
from lab.chaos.scenarios import SCENARIOS, find
from lab.chaos.system import PLACES

ENGINES = {"redis", "postgres"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_plan_is_reproducible_by_seed(name: str) -> None:
    plan = SCENARIOS[name].plan
    assert plan(Random(11), Parameters()) == plan(Random(11), Parameters())
    assert plan(Random(11), Parameters()) != plan(Random(12), Parameters())


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seed", range(20))
def test_plan_orders_faults_and_hits_what_exists(name: str, seed: int) -> None:
    scenario = SCENARIOS[name]
    faults = scenario.plan(Random(seed), Parameters(kills=30, workers=2))
    assert [f.at for f in faults] == sorted(f.at for f in faults)
    assert faults[0].at > 0
    assert faults[-1].at < 0.9
    for f in faults:
        group, _, number = f.target.partition("/")
        if number:
            assert int(number) < 2
        match f.kind:
            case Kind.NETWORK | Kind.RESET:
                assert f.target in scenario.proxied
            case Kind.KILL | Kind.STOP | Kind.RESTART:
                assert group in {*GROUPS, *ENGINES, "api", "scheduler"}
            case Kind.SWAP:
                assert scenario.standby
                assert f.how["name"] in {"failover", "switchover"}
            case Kind.SUBMIT:
                assert scenario.second_alert
            case Kind.TERMINATE:
                assert f.how["every_s"] > 0
            case Kind.CLOCK:
                assert scenario.shifted
                assert f.for_s > 0
    assert set(scenario.proxied) <= set(PLACES)
    assert "database" in scenario.proxied or not scenario.standby


@pytest.mark.parametrize("seed", range(20))
def test_plan_sends_second_alert_while_redis_is_stopped(seed: int) -> None:
    faults = SCENARIOS["redis-stopped"].plan(Random(seed), Parameters())
    n = [f.kind for f in faults].index(Kind.SUBMIT)
    assert faults[n - 1].kind is Kind.STOP
    assert faults[n - 1].at == faults[n].at


def test_plan_silences_email_and_sms_alternately() -> None:
    faults = SCENARIOS["silent-provider"].plan(Random(1), Parameters())
    assert [set(f.how) - {"name"} for f in faults] == [{"email"}, {"sms"}]


def test_plan_of_fifty_kills_hits_everything() -> None:
    struck = {f.name for f in SCENARIOS["kills"].plan(Random(1), Parameters(kills=50))}
    assert {"kill worker", "kill workers", "kill api", "kill redis", "kill postgres"} <= struck


def test_unknown_scenario_is_bad_input() -> None:
    with pytest.raises(BadInput, match="earthquake"):
        find("earthquake")
