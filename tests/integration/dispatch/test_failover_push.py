"""Push services are as many providers as there are origins: one that is ill stops no other."""

from __future__ import annotations

import asyncio

import pytest
from dispatch_harness import DispatchHarness
from ill_providers import Scripted, message

from alerting.channels.base import PROVIDER_DOWN, Outcome, Outgoing
from alerting.channels.spec import Provider
from alerting.dispatch.alarms import Alarms
from alerting.domain.lane import Lane
from alerting.providers.failover import CIRCUIT_OPEN, Routes
from alerting.store.admin import stored_alarms

DEAD, WELL = "dead.example.org", "push.example.org"


def answer(m: Outgoing) -> Outcome:
    return Outcome(m.delivery_id, PROVIDER_DOWN if DEAD in m.endpoint else None)


@pytest.mark.parametrize(("count", "alarmed"), [(10, False), (80, True)])
async def test_dead_push_origin_opens_only_its_own_breaker(
    harness: DispatchHarness, count: int, *, alarmed: bool
) -> None:
    push = Scripted("push", answer=answer)
    alarm_sink, now = Alarms(harness.db), 1.0
    routes = Routes(
        {"push": [Provider("push.1", push, by_origin=True)]},
        harness.rates(),
        alarm_sink,
        now=lambda: now,
    )
    outcomes = {}
    for host in (DEAD, WELL):
        outcomes[host] = [
            await routes.send(
                "push",
                # What follows the server is the citizen's and stays out of alarms.
                message(n, channel="push", endpoint=f"https://{host}{'/?'[n % 2]}{n}"),
                Lane.ROUTINE,
                "t",
            )
            for n in range(count)
        ]
    assert all(o.accepted for o in outcomes[WELL])
    left_alone = [o for o in outcomes[DEAD] if o.provider_code == CIRCUIT_OPEN]
    assert len(left_alone) == count - 5
    assert routes.cooldown_s("push") == 0
    now += 3
    # Asked again when it has rested, it is still dead.
    await asyncio.gather(*(
        routes.send(
            "push", message(n, channel="push", endpoint=f"https://{DEAD}/{n}"), Lane.SEVERE, "t"
        )
        for n in range(3)
    ))  # fmt: skip
    await alarm_sink.drain()
    async with harness.db.begin() as c:
        found = {(a.kind, a.subject) for a in await stored_alarms.open_alarms(c)}
    assert found == ({("provider-down", f"push.1 {DEAD}")} if alarmed else set())


async def test_push_origins_are_forgotten_beyond_a_limit(
    harness: DispatchHarness,
) -> None:
    alarm_sink = Alarms(harness.db)
    routes = Routes(
        {"push": [Provider("push.1", Scripted("push"), by_origin=True)]},
        harness.rates(),
        alarm_sink,
    )
    for n in range(1000):
        sent = await routes.send(
            "push",
            message(n, channel="push", endpoint=f"https://h{n}.example.org/x"),
            Lane.ROUTINE,
            "t",
        )
        assert sent.accepted
    assert len(routes._routes["push"][0]._origins) <= 256
    await alarm_sink.drain()
