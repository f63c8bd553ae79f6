"""Two providers of one channel: who is called when one is ill, and that nobody is told twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import select

from alerting.channels.base import Outcome, Outgoing, Rendering
from alerting.channels.sms.twilio_sms import TwilioConfig, TwilioSms
from alerting.channels.spec import Provider
from alerting.dispatch.alarms import Alarms
from alerting.dispatch.receipts import apply_receipts
from alerting.domain.lane import Lane
from alerting.providers.breaker import Limits
from alerting.providers.failover import CIRCUIT_OPEN, Routes
from alerting.providers.penalty import Penalties
from alerting.store.admin import providers, stored_alarms
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import address

GOOD = b'{"sid": "SM1", "status": "queued", "error_code": null}'


class Twilio:
    """A small server that answers every request with one status, or not at all.

    listens: False where nothing is at its port.
    """

    def __init__(self, status: int | None, body: bytes = GOOD, *, listens: bool = True) -> None:
        self.status = status
        self.listens = listens
        self.body = body
        self.asked: list[bytes] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.asked.append(await reader.readexactly(length))
                if self.status is None:
                    await asyncio.Event().wait()
                elif self.status == 0:
                    break
                answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (
                    self.status,
                    len(self.body),
                )
                writer.write(answer + self.body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


MakeRoutes = Callable[..., Awaitable[Routes]]


@pytest.fixture
async def alarm_sink(harness: DispatchHarness) -> AsyncIterator[Alarms]:
    alarm_sink = Alarms(harness.db)
    yield alarm_sink
    await alarm_sink.drain()


@pytest.fixture
async def route(harness: DispatchHarness, alarm_sink: Alarms) -> AsyncIterator[MakeRoutes]:
    """Makes Routes over such servers, the preferred first, with the options of Routes."""
    async with AsyncExitStack() as stack:

        async def make(*servers: Twilio, limits: Limits | None = None, **options: Any) -> Routes:
            made = []
            for n, server in enumerate(servers, 1):
                listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
                stack.callback(listening.close)
                port = listening.sockets[0].getsockname()[1]
                server.url = f"http://127.0.0.1:{port}"
                if not server.listens:
                    listening.close()
                    await listening.wait_closed()
                channel = TwilioSms(
                    TwilioConfig(
                        account_sid="AC" + "0" * 32,
                        auth_token="x",
                        base_url=server.url,
                        default_sender="+447700900000",
                        timeout_s=60,
                    )
                )
                await channel.open()
                stack.push_async_callback(channel.close)
                made.append(Provider(f"sms.{n}", channel))
            rates = harness.rates()
            return Routes({"sms": made}, rates, alarm_sink, limits=limits or Limits(), **options)

        yield make


def message(n: int, lane: Lane = Lane.SEVERE) -> Outgoing:
    return Outgoing(
        delivery_id=n,
        endpoint=f"+4477009{n:05d}",
        rendering=Rendering("sms", "en", "", "Go uphill now."),
        lane=lane,
        thread="t",
    )


async def send(routes: Routes, count: int, lane: Lane = Lane.SEVERE) -> list[Outcome]:
    await routes.window("sms", 64)
    return await asyncio.gather(
        *(routes.send("sms", message(n, lane), lane, "t") for n in range(count))
    )


REFUSALS = [
    pytest.param(503, b"{}", id="it is ill"),
    pytest.param(401, b'{"code": 20003}', id="it refuses our credentials"),
    pytest.param(400, b'{"code": 21606}', id="it refuses our sender"),
    pytest.param(429, b'{"code": 20429}', id="it wants fewer"),
]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
async def test_refusal_fails_over_to_second_provider_at_once(
    route: MakeRoutes, status: int, body: bytes
) -> None:
    first, second = Twilio(status, body), Twilio(201)
    routes = await route(first, second)
    outcomes = await send(routes, 30)
    assert {(o.accepted, o.provider) for o in outcomes} == {(True, "sms.2")}
    assert len(second.asked) == len(set(second.asked)) == 30


async def test_connection_refused_fails_over_to_second_provider(route: MakeRoutes) -> None:
    routes = await route(Twilio(201, listens=False), Twilio(201))
    outcomes = await send(routes, 10)
    assert {(o.accepted, o.provider) for o in outcomes} == {(True, "sms.2")}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="never answers"),
        pytest.param(0, id="takes it and hangs up"),
        pytest.param(500, id="fails after it may have taken it"),
    ],
)
async def test_ambiguous_send_is_never_failed_over(route: MakeRoutes, status: int | None) -> None:
    first, second = Twilio(status, b"{}"), Twilio(201)
    routes = await route(first, second, limits=Limits(slow_s=0.2 if status is None else 60))
    outcomes = await send(routes, 40)
    in_doubt = {o.delivery_id for o in outcomes if o.error and o.error.code == "ambiguous"}
    assert in_doubt
    accepted = {o.delivery_id for o in outcomes if o.accepted}
    assert in_doubt | accepted == set(range(40))
    bodies = [*first.asked, *second.asked]
    assert len(bodies) == len(set(bodies))
    # By now the first is left alone, so the next do not wait for it.
    again = [await routes.send("sms", message(100 + n), Lane.SEVERE, "t") for n in range(5)]
    assert {(o.accepted, o.provider) for o in again} == {(True, "sms.2")}


async def test_refused_address_is_not_tried_at_second_provider(route: MakeRoutes) -> None:
    first, second = Twilio(400, b'{"code": 21614}'), Twilio(201)
    routes = await route(first, second)
    outcomes = await send(routes, 10)
    assert {o.error.code for o in outcomes if o.error} == {"dead-address"}
    assert second.asked == []


async def test_throttled_provider_is_waited_for_below_severe(route: MakeRoutes) -> None:
    first, second = Twilio(429, b'{"code": 20429}'), Twilio(201)
    routes = await route(first, second)
    outcomes = await send(routes, 5, Lane.ROUTINE)
    assert {o.error.code for o in outcomes if o.error} == {"throttled"}
    assert second.asked == []


async def test_account_refusal_opens_breaker_and_alarm(
    harness: DispatchHarness, alert_xml: bytes, route: MakeRoutes, alarm_sink: Alarms
) -> None:
    only = Twilio(401, b'{"code": 20003}')
    routes = await route(only)
    # Window after window, as a worker does.
    outcomes = [o for _ in range(5) for o in await send(routes, 40)]
    assert len(only.asked) == 40
    assert CIRCUIT_OPEN in {o.provider_code for o in await send(routes, 5)}
    assert routes.cooldown_s("sms") > 10
    assert not any(o.error and o.error.suspend for o in outcomes)
    await alarm_sink.drain()
    async with harness.db.begin() as c:
        kinds = {a.kind: a.subject for a in await stored_alarms.open_alarms(c)}
        suspended = (
            await c.execute(select(address.c.id).where(address.c.suspended_reason.is_not(None)))
        ).all()
    assert kinds == {"provider-refuses-us": "sms.1", "no-provider-left": "sms"}
    assert suspended == []


async def test_alarm_closes_when_provider_recovers(
    harness: DispatchHarness, route: MakeRoutes, alarm_sink: Alarms
) -> None:
    now = 0.0
    ill = Twilio(503, b"{}")
    routes: Routes = await route(ill, now=lambda: now)
    await send(routes, 10)
    ill.status, ill.body = 201, GOOD
    for _ in range(20):
        now += 2
        await send(routes, 1)
    assert routes.cooldown_s("sms") == 0
    await alarm_sink.drain()
    async with harness.db.begin() as c:
        assert await stored_alarms.open_alarms(c) == []


async def test_late_delivery_report_lowers_provider_preference(
    harness: DispatchHarness, alert_xml: bytes, alarm_sink: Alarms
) -> None:
    async def mine() -> bool:
        return True

    submitted = await harness.submit(alert_xml)
    penalties = Penalties(harness.db, harness.clock, alarm_sink, {"sms": ["sms.1", "sms.2"]}, mine)
    await harness.worker().sweep()
    rows = [r["id"] for r in await harness.rows(submitted.alert_id) if r["channel"] == "sms"]
    assert len(rows) > 50
    await penalties.refresh()
    assert penalties.current().get("sms.1", 0) == 0
    # A part has arrived, and of the rest nothing is heard after ten minutes.
    async with harness.db.begin() as c:
        reports = [NewReceipt("sms", i, "ok", "delivered", "") for i in rows[: len(rows) // 2]]
        await receipt_intake.add(c, reports)
        await apply_receipts(c)
    harness.clock.advance(600)
    await penalties.refresh()
    assert penalties.current() == {"sms.1": 10}
    await alarm_sink.drain()
    async with harness.db.begin() as c:
        assert [a.kind for a in await stored_alarms.open_alarms(c)] == ["provider-slow"]
    harness.clock.advance(3600)
    await penalties.refresh()
    assert penalties.current() == {"sms.1": 0}
    async with harness.db.begin() as c:
        assert (await providers.standings(c))["sms.1"].reason == "quiet"


async def test_preferred_provider_is_first_until_penalised(
    route: MakeRoutes,
) -> None:
    first, second = Twilio(201), Twilio(201)
    penalties: dict[str, int] = {}
    routes: Routes = await route(first, second, penalties=lambda: penalties)
    assert {o.provider for o in await send(routes, 5)} == {"sms.1"}
    penalties["sms.1"] = 10
    assert {o.provider for o in await send(routes, 5)} == {"sms.2"}
    assert len(first.asked) == len(second.asked) == 5
