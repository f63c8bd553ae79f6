"""The wall around every channel, by what comes through to the channel behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from render_examples import ALERT, alert, rendered

from alerting.channels.base import DRILL_REFUSED, CanLookUp, Outcome, Outgoing, Rendering
from alerting.channels.drill_wall import NO_PASS, NO_WORD, walled
from alerting.channels.push.vapid import generate
from alerting.channels.registry import build, names
from alerting.channels.spec import Sandbox, Setup
from alerting.channels.text.phrases import table
from alerting.domain import drill_pass
from alerting.domain.alert import Severity, Status
from alerting.domain.lane import Lane, lane_of
from alerting.settings import Settings

KEY = b"k" * 32
ENDPOINTS = {
    "sms": "+447700900123",
    "email": "a@example.org",
    "push": "https://push.example.org/1",
}


@dataclass
class Behind:
    """A channel that takes everything and writes it down."""

    name: str
    concurrency: int = 4
    can_be_silent: bool = False
    took: list[Outgoing] = field(default_factory=list)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, message: Outgoing) -> Outcome:
        self.took.append(message)
        return Outcome(message.delivery_id, provider_ref="ok")


class Looking(Behind):
    async def look_up(self, message: Outgoing, *, since: datetime) -> Outcome | None:
        return Outcome(message.delivery_id, provider_ref="found")


@dataclass
class Wall:
    behind: Behind
    refused: list[tuple[str, str]] = field(default_factory=list)

    def send(self, message: Outgoing) -> Outcome:
        channel = walled(self.behind, KEY, lambda *said: self.refused.append(said))
        return asyncio.run(channel.send(message))  # type: ignore[arg-type]


def message(channel: str, rendering: Rendering, **changes: Any) -> Outgoing:
    endpoint = ENDPOINTS[channel]
    made = Outgoing(
        7,
        endpoint,
        rendering,
        Lane.DRILL,
        "t",
        drill=True,
        drill_pass=drill_pass.make(KEY, channel, endpoint),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("channel", names())
@pytest.mark.parametrize("status", [Status.EXERCISE, Status.TEST])
@pytest.mark.parametrize("language", sorted(table()))
@pytest.mark.parametrize("own", [None, "Übung: leak at the works", "exercise – leak"])
def test_drill_with_pass_is_sent_in_every_language(
    channel: str, status: Status, language: str, own: str | None
) -> None:
    wall = Wall(Behind(channel))
    drill = alert({"headline": own or "Flooding is imminent"}, status=status)
    outcome = wall.send(message(channel, rendered(drill, channel, language)))
    assert outcome.accepted
    assert len(wall.behind.took) == 1
    assert wall.refused == []


@pytest.mark.parametrize("channel", names())
@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: replace(m, drill_pass=b""),
        lambda m: replace(m, drill_pass=m.drill_pass[:-1] + bytes([m.drill_pass[-1] ^ 1])),
        lambda m: replace(m, drill_pass=drill_pass.make(b"x" * 32, "sms", m.endpoint)),
        lambda m: replace(m, drill_pass=drill_pass.make(KEY, "fax", m.endpoint)),
        lambda m: replace(m, endpoint=m.endpoint + "4"),
        # Whoever forgets to say that it is a drill sends by the lane of drills all the same.
        lambda m: replace(m, drill=False, drill_pass=b""),
        # And the other way round.
        lambda m: replace(m, lane=Lane.ROUTINE, drill_pass=b""),
    ],
)
def test_drill_without_matching_pass_is_refused(
    channel: str, spoil: Callable[[Outgoing], Outgoing]
) -> None:
    wall = Wall(Behind(channel))
    drill = rendered(alert(status=Status.EXERCISE), channel)
    outcome = wall.send(spoil(message(channel, drill)))
    assert outcome == Outcome(7, DRILL_REFUSED, provider_code=NO_PASS, called=False)
    assert not DRILL_REFUSED.retryable
    assert not DRILL_REFUSED.suspend
    assert wall.behind.took == []
    assert wall.refused == [(channel, NO_PASS)]


@pytest.mark.parametrize("channel", names())
@pytest.mark.parametrize("headline", ["Flooding is imminent", "Exercised by floods", "Testing"])
def test_drill_that_reads_like_a_real_alert_is_refused(channel: str, headline: str) -> None:
    wall = Wall(Behind(channel))
    real = rendered(alert({"headline": headline, "sender_name": headline}), channel)
    outcome = wall.send(message(channel, real))
    assert (outcome.error, outcome.provider_code) == (DRILL_REFUSED, NO_WORD)
    assert wall.behind.took == []


@pytest.mark.parametrize("channel", names())
@pytest.mark.parametrize("severity", list(Severity))
def test_actual_alert_needs_no_pass(channel: str, severity: Severity) -> None:
    wall = Wall(Behind(channel))
    real = message(channel, rendered(ALERT, channel), lane=lane_of(alert({"severity": severity})))
    assert wall.send(replace(real, drill=False, drill_pass=b"")).accepted


def test_look_up_passes_through() -> None:
    quiet = walled(Behind("sms"), KEY, lambda *_: None)
    able = walled(Looking("sms"), KEY, lambda *_: None)
    assert not isinstance(quiet, CanLookUp)
    assert isinstance(able, CanLookUp)
    drill = message("sms", rendered(ALERT, "sms"), drill_pass=b"")
    found = asyncio.run(able.look_up(drill, since=datetime.now(UTC)))
    assert found == Outcome(7, provider_ref="found")


@pytest.mark.parametrize("real", [True, False])
def test_every_channel_is_wrapped(real: bool) -> None:
    """Whichever adapter there will be: what the registry hands out refuses before it is open."""
    refused: list[tuple[str, str]] = []
    settings = Settings(
        twilio_account_sid="AC1", twilio_auth_token="t", twilio_from="+447700900001",
        smtp_host="mail.example.org", twilio2_account_sid="AC2", twilio2_auth_token="t",
    )  # fmt: skip
    sandbox = None if real else Sandbox("127.0.0.1", 1, 2, "a", "t")
    built = build(
        Setup(settings, generate(), KEY, sandbox),
        drill_key=KEY,
        refused=lambda *said: refused.append(said),
    )
    assert set(built) == set(names())
    for channel, providers in built.items():
        for provider in providers:
            drill = rendered(alert(status=Status.TEST), channel)
            outcome = asyncio.run(provider.channel.send(message(channel, drill, drill_pass=b"")))  # type: ignore[arg-type]
            assert outcome.error is DRILL_REFUSED
            assert isinstance(provider.channel, CanLookUp) is (channel == "sms")
    assert [name for name, _ in refused] == [n for n, several in built.items() for _ in several]
