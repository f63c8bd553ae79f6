"""A provider that takes what it is given and says nothing: who waits for it, and who does not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from dispatch_harness import DispatchHarness
from ill_providers import Relay, Scripted, message, relays

from alerting.channels.base import AMBIGUOUS, OUR_FAULT, PROVIDER_DOWN, Outcome, Outgoing
from alerting.channels.spec import Provider
from alerting.dispatch.alarms import Alarms
from alerting.dispatch.evaluation import policies
from alerting.domain.lane import Lane
from alerting.domain.principal import internal
from alerting.providers.breaker import Limits, State
from alerting.providers.failover import CIRCUIT_OPEN, Routes
from alerting.providers.route import HANGS

LIMITS = Limits(slow_s=0.05)

Make = Callable[..., Routes]


@pytest.fixture
async def alarm_sink(harness: DispatchHarness) -> AsyncIterator[Alarms]:
    alarm_sink = Alarms(harness.db)
    yield alarm_sink
    await alarm_sink.drain()


@pytest.fixture
def routes_of(harness: DispatchHarness, alarm_sink: Alarms) -> Make:
    return partial(make, harness, alarm_sink)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a provider raises no event
            await asyncio.sleep(0.005)


def make(
    harness: DispatchHarness,
    alarm_sink: Alarms,
    *several: Scripted,
    limits: Limits = LIMITS,
    now: Callable[[], float] = time.monotonic,
) -> Routes:
    name = several[0].name
    providers = {name: [Provider(f"{name}.{n}", c) for n, c in enumerate(several, 1)]}
    return Routes(providers, harness.rates(), alarm_sink, limits=limits, now=now)


async def send(routes: Routes, numbers: Sequence[int], lane: Lane = Lane.SEVERE) -> list[Outcome]:
    return await asyncio.gather(*(routes.send("sms", message(n, lane), lane, "t") for n in numbers))


def silent(channel: Scripted) -> Scripted:
    channel.free.clear()
    return channel


async def test_severe_message_fails_over_from_silent_provider(
    routes_of: Make,
) -> None:
    first, second = silent(Scripted()), Scripted()
    routes = routes_of(first, second)
    async with asyncio.timeout(60):
        hung = await send(routes, range(64))
        more = await send(routes, range(100, 110))
    assert {(o.error, o.provider_code, o.provider) for o in hung} == {(AMBIGUOUS, HANGS, "sms.1")}
    assert {(o.accepted, o.provider) for o in more} == {(True, "sms.2")}
    assert [m.delivery_id for m in second.asked] == list(range(100, 110))


async def test_silent_provider_is_recognised_after_three_messages(routes_of: Make) -> None:
    routes = routes_of(silent(Scripted()), Scripted())
    async with asyncio.timeout(60):
        hung = await send(routes, range(3))
    assert {o.provider_code for o in hung} == {HANGS}


async def test_low_priority_message_waits_for_silent_provider(routes_of: Make) -> None:
    first, second = silent(Scripted()), Scripted()
    routes = routes_of(first, second)
    waiting = asyncio.create_task(send(routes, range(10), Lane.ROUTINE))
    async with asyncio.timeout(60):
        breaker = routes.breakers["sms.1"]
        await until(lambda: breaker.count_hanging() or breaker.state is State.OPEN)
        more = await send(routes, range(100, 110), Lane.ROUTINE)
        assert {(o.accepted, o.provider) for o in more} == {(True, "sms.2")}
        first.free.set()
        assert {(o.accepted, o.provider) for o in await waiting} == {(True, "sms.1")}


@pytest.mark.parametrize("other", ["none", "ill"])
async def test_slow_provider_is_waited_for_without_alternative(routes_of: Make, other: str) -> None:
    first, second = Scripted(), Scripted(answer=lambda m: Outcome(m.delivery_id, PROVIDER_DOWN))
    routes = routes_of(first) if other == "none" else routes_of(second, first)
    if other == "ill":
        await send(routes, range(100, 130))
    silent(first)
    waiting = asyncio.create_task(send(routes, range(40)))
    async with asyncio.timeout(60):
        await until(lambda: len(first.asked) == (40 if other == "none" else 70))
        breaker = routes.breakers["sms.1" if other == "none" else "sms.2"]
        calls = list(breaker._under_way.values())
        await until(lambda: all(breaker.silent_since(call) for call in calls))
        assert not waiting.done()
        first.free.set()
        outcomes = await waiting
    assert {o.accepted for o in outcomes} == {True}


async def test_provider_with_one_hanging_call_is_waited_for(routes_of: Make) -> None:
    first, second = Scripted(), Scripted()
    routes = routes_of(first, second)
    silent(first)
    one = asyncio.create_task(routes.send("sms", message(1), Lane.SEVERE, "t"))
    await until(lambda: first.asked)
    calls = list(routes.breakers["sms.1"]._under_way.values())
    release, first.free = first.free, asyncio.Event()
    first.free.set()
    async with asyncio.timeout(60):
        while not one.done() and routes.breakers["sms.1"]._now() - calls[0].begun_s < 0.2:
            assert (await send(routes, [2]))[0].accepted
    assert not one.done()
    release.set()
    assert (await one).accepted


async def test_wait_for_a_rate_slot_is_not_provider_slowness(
    harness: DispatchHarness, routes_of: Make
) -> None:
    async with harness.db.begin() as c:
        await policies.set_live(c, "[pace.sms]\nper_second = 20\n", by=internal("test"))
    first, second = Scripted(), Scripted()
    routes = routes_of(first, second)
    await routes.window("sms", 64)
    outcomes = await send(routes, range(20))
    assert {(o.accepted, o.provider) for o in outcomes} == {(True, "sms.1")}
    assert routes.breakers["sms.1"].state is State.CLOSED


async def test_provider_with_few_connections_is_not_seen_as_slow(
    routes_of: Make,
) -> None:
    first, second = Scripted(concurrency=2), Scripted()
    routes = routes_of(first, second, limits=Limits(slow_s=0.2))
    silent(first)
    waiting = asyncio.create_task(send(routes, range(10), Lane.ROUTINE))
    await until(lambda: len(first.asked) == 2)
    assert len(routes.breakers["sms.1"]._under_way) == 2
    first.free.set()
    assert {o.provider for o in await waiting} == {"sms.1"}


async def test_severe_message_probes_once_a_second_when_all_are_open(
    routes_of: Make,
) -> None:
    now = 0.0
    only = Scripted(answer=lambda m: Outcome(m.delivery_id, OUR_FAULT, provider_code="20003"))
    routes = routes_of(only, limits=Limits(), now=lambda: now)
    await send(routes, range(40))
    asked = len(only.asked)
    for lane, probes in ((Lane.ROUTINE, 0), (Lane.EXTREME, 5)):
        for _ in range(5):
            now += 1
            outcomes = await send(routes, range(50), lane)
            codes = Counter(o.provider_code for o in outcomes)
            assert codes[CIRCUIT_OPEN] == 50 - codes["20003"]
            wait_s = max(o.retry_after_s or 0 for o in outcomes)
            assert wait_s <= 1 if lane is Lane.EXTREME else wait_s > 5
        assert len(only.asked) - asked == probes
        asked = len(only.asked)
    only.answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    now += 1
    for n in range(5):
        assert (await send(routes, [n], Lane.EXTREME))[0].accepted
    assert routes.cooldown_s("sms") == 0


STEPS = [
    pytest.param("greeting", "421 too busy", True, id="greeting refused"),
    pytest.param("mail", "451 try later", True, id="envelope refused"),
    pytest.param("rcpt", "", True, id="hangs up before the text"),
    pytest.param("data", "451 try later", True, id="text not wanted"),
    pytest.param("body", "451 try later", True, id="text refused"),
    pytest.param("body", "", False, id="hangs up after the text"),
    pytest.param("body", None, False, id="silent after the text"),
]


@pytest.mark.parametrize(("step", "reply", "definite"), STEPS)
async def test_email_fails_over_only_when_not_taken(
    harness: DispatchHarness, alarm_sink: Alarms, step: str, reply: str | None, *, definite: bool
) -> None:
    first, second = Relay(step, reply), Relay()
    async with relays(first, second) as providers:
        routes = Routes(
            {"email": providers},
            harness.rates(),
            alarm_sink,
            limits=Limits(slow_s=0.3 if reply is None else 60),
        )
        outcomes = await asyncio.gather(
            *(
                routes.send("email", message(n, channel="email"), Lane.SEVERE, "t")
                for n in range(12)
            )
        )
        in_doubt = {o.delivery_id for o in outcomes if o.error is AMBIGUOUS}
        taken = {o.delivery_id for o in outcomes if o.accepted}
        assert in_doubt | taken == set(range(12))
        assert bool(in_doubt) is not definite
        assert len(second.bodies) == len(taken)
        assert not set(first.bodies) & set(second.bodies)
        after = [
            await routes.send("email", message(50 + n, channel="email"), Lane.SEVERE, "t")
            for n in range(4)
        ]
        assert {(o.accepted, o.provider) for o in after} == {(True, "email.2")}


async def test_doubt_at_first_provider_is_resent_by_second_and_flagged(
    harness: DispatchHarness, alarm_sink: Alarms, alert_xml: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Scripted(answer=lambda m: Outcome(m.delivery_id, AMBIGUOUS, provider_code="timeout"))
    second = Scripted()
    others = {n: (Provider(f"{n}.1", c),) for n, c in harness.channels.items() if n != "sms"}
    # It never opens: the second try alone must lead elsewhere.
    never = Limits(few=10**9, many=10**9, slow_s=1e9)
    routes = Routes(
        {"sms": [Provider("sms.1", first), Provider("sms.2", second)], **others},
        harness.rates(),
        alarm_sink,
        limits=never,
    )
    monkeypatch.setattr(harness, "routes", lambda: routes)
    harness.settings.in_doubt_wait_s = 0
    submitted = await harness.submit(alert_xml)
    rows: list[dict[str, Any]] = []
    # A window that is refused as a whole ends a chunk's turn.
    for _ in range(20):
        await harness.due_now()
        await harness.worker().sweep()
        rows = [r for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms"]
        if {r["state"] for r in rows} == {"accepted"}:
            break
    assert {(r["state"], r["possible_duplicate"]) for r in rows} == {("accepted", True)}
    assert ids(first.asked) == ids(second.asked) == {r["id"]: 1 for r in rows}


def ids(messages: Sequence[Outgoing]) -> dict[int, int]:
    return dict(Counter(m.delivery_id for m in messages))
