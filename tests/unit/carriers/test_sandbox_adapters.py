"""Our adapters and the sandbox, written apart from each other, agree on every protocol."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from carrier_client import until

from alerting.channels import registry
from alerting.channels.base import AMBIGUOUS, Outgoing, Rendering
from alerting.channels.push.vapid import generate
from alerting.channels.spec import Sandbox, Setup
from alerting.domain.lane import Lane
from alerting.embedded.carriers import (
    PUSH_SEED,
    SANDBOX_ACCOUNT,
    SANDBOX_TOKEN,
    read_log,
    subscription,
)
from alerting.settings import Settings


@asynccontextmanager
async def _channels(carriers, public_url):
    sandbox = Sandbox(
        carriers.smtp_host,
        int(carriers.http_url.rpartition(":")[2]),
        carriers.smtp_port,
        SANDBOX_ACCOUNT,
        SANDBOX_TOKEN,
    )
    settings = Settings(public_url=public_url)
    built = registry.build(
        Setup(settings, vapid=generate(), bounce_key=b"k" * 32, sandbox=sandbox),
        drill_key=b"d" * 32,
        refused=lambda channel, code: None,
    )
    channels = {name: one.channel for name, (one,) in built.items()}
    for channel in channels.values():
        await channel.open()
    yield channels
    for channel in channels.values():
        await channel.close()


def _outgoing(channel, delivery_id, carriers):
    keys = {}
    endpoint = {"sms": "+999000000042", "email": "c42@example.org"}.get(channel)
    if endpoint is None:
        endpoint, keys = subscription(carriers.http_url, PUSH_SEED, "c42")
    return Outgoing(
        delivery_id=delivery_id,
        endpoint=endpoint,
        rendering=Rendering(channel, "de", "Überschwemmung", "Gehen Sie höher – sofort."),
        lane=Lane.SEVERE,
        thread="event-1",
        valid_until=datetime.now(UTC) + timedelta(hours=1),
        unsubscribe_token="token",
        keys=keys,
    )


@pytest.mark.parametrize("name", ["sms", "email", "push"])
async def test_carriers_read_what_adapters_send(carriers, var, http, name):
    async with _channels(carriers, "http://127.0.0.1:9") as channels:
        outcome = await channels[name].send(_outgoing(name, 815, carriers))
    assert outcome.accepted, outcome
    (line,) = read_log(var, name)
    assert line["ref"] == 815
    assert line["to"] in {"+999000000042", "c42@example.org", "c42"}
    assert "Gehen Sie höher" in line["body"]
    if name == "sms":
        assert outcome.provider_ref == line["id"]
    else:
        assert (line.get("subject") or line.get("title")) == "Überschwemmung"
    if name == "push":
        assert outcome.provider_ref.endswith(line["id"])


@pytest.mark.parametrize(
    ("name", "faults", "error"),
    [
        ("sms", {"opted_out": ["+999000000042"]}, "opted-out"),
        ("sms", {"rate_limit_per_s": 0.001}, "throttled"),
        ("sms", {"failure_rate": 1}, "provider-down"),
        ("sms", {"ambiguous_rate": 1}, "ambiguous"),
        ("email", {"unknown": ["c42@example.org"]}, "dead-address"),
        ("email", {"ambiguous_rate": 1}, "ambiguous"),
        ("push", {"gone": ["c42"]}, "dead-address"),
        ("push", {"gone": ["c42"], "gone_status": 404}, "dead-address"),
        ("push", {"rate_limit_per_s": 0.001}, "throttled"),
        ("push", {"ambiguous_rate": 1}, "ambiguous"),
    ],
)
async def test_each_fault_is_classified(carriers, var, http, name, faults, error):
    async with http.post("/sandbox/faults", json={name: faults}) as answer:
        assert answer.status == 200
    async with _channels(carriers, "http://127.0.0.1:9") as channels:
        if error == "throttled":
            assert (await channels[name].send(_outgoing(name, 1, carriers))).accepted
        outcome = await channels[name].send(_outgoing(name, 2, carriers))
    assert outcome.error is not None
    assert outcome.error.code == error
    # Only an answer that was lost leaves a message behind.
    logged = [line["ref"] for line in read_log(var, name)]
    assert (2 in logged) == (error == "ambiguous")


async def test_callbacks_carry_the_delivery_id(carriers, receiver):
    base = receiver.url.removesuffix("/status")
    receiver.url = f"{base}/webhooks/twilio/status"
    async with _channels(carriers, base) as channels:
        assert (await channels["sms"].send(_outgoing("sms", 77, carriers))).accepted
    await until(lambda: len(receiver.seen) == 2)
    assert receiver.statuses == ["sent", "delivered"]
    assert all(url.endswith("?delivery=77") for url, *_ in receiver.seen)


async def test_lost_answer_is_found_by_look_up(carriers, http, receiver):
    async with _channels(carriers, receiver.url.removesuffix("/status")) as channels:
        sms = channels["sms"]
        message = _outgoing("sms", 7, carriers)
        since = datetime.now(UTC)
        assert await sms.look_up(message, since=since) is None
        faults = {"sms": {"ambiguous_rate": 1, "callback_delay_ms": 600_000}}
        await http.post("/sandbox/faults", json=faults)
        lost = await sms.send(message)
        assert lost.error is AMBIGUOUS
        found = await sms.look_up(message, since=since)
        assert found is not None
        assert found.accepted
        assert found.provider_ref.startswith("SM")
        # The same text of an hour ago is another message.
        assert await sms.look_up(message, since=since + timedelta(hours=1)) is None
