"""Citizens' channels: who has which, which an alert goes by, and what each can do."""

from __future__ import annotations

from pathlib import Path

import pytest
from traces import an_alert, its_end

from alerting.domain.alert import Alert, Severity
from alerting.errors import BadInput
from alerting.replay.population import (
    CAN_BE_SILENT,
    Citizen,
    Population,
    from_register,
    generated,
    mixes,
    with_channels,
)
from alerting.replay.replay_delivery import Outcome
from alerting.replay.result import Result
from alerting.replay.simulation import replay
from alerting.replay.trace import Played, Trace
from alerting.throttle.policy.parse import parse_policy

AWAKE = parse_policy('[quiet]\nfrom = "00:00"\nto = "00:00"\n')

FIRST = an_alert("first", headline="Flood")
#: What is not read beside an instruction has changed.
MORE = an_alert("more", at_s=600, to=(FIRST,), headline="Flood", description="It has rained.")


async def _played(*alerts: Alert, channels: tuple[str, ...]) -> Result:
    trace = Trace([Played(a, f"{n}.xml") for n, a in enumerate(alerts)])
    people = [Citizen(c.name, geocodes=c.geocodes, channels=channels) for c in _people(alerts)]
    return await replay(trace, Population(people), AWAKE)


def _people(alerts: tuple[Alert, ...]) -> list[Citizen]:
    return generated(alerts).citizens


def test_mix_assigns_channels_in_turn() -> None:
    people = Population([Citizen(str(n)) for n in range(7)])
    theirs = [c.channels for c in with_channels(people, "mixed").citizens]
    assert theirs[:5] == [("push",), ("sms",), ("email",), ("push", "sms"), ("sms", "email")]
    assert theirs[5:] == theirs[:2]
    assert {c.channels for c in with_channels(people, "sms").citizens} == {("sms",)}


def test_mixes_are_parsed() -> None:
    assert mixes("push, sms,push") == ["push", "sms"]
    with pytest.raises(BadInput, match="no mix of channels 'fax'"):
        mixes("push,fax")


def test_register_keeps_its_own_channels(tmp_path: Path) -> None:
    register = tmp_path / "c.csv"
    register.write_text(
        "ref,channels,sms,email,consent,geocodes\n"
        "anna,email sms,+447700900001,anna@example.org,,district=D1\n"
        "bert,sms email,+447700900002,bert@example.org,email,district=D1\n"
        "cleo,,,,,district=D1\n"
    )
    theirs = {c.name: c.channels for c in from_register(register).citizens}
    assert theirs == {"anna": ("email", "sms"), "bert": ("email",), "cleo": ("push",)}


async def test_silent_message_reaches_nobody_by_sms() -> None:
    assert CAN_BE_SILENT["push"]
    assert not CAN_BE_SILENT["sms"]
    push = await _played(FIRST, MORE, channels=("push",))
    assert push.figures.outcomes == {Outcome.SENT: 1, Outcome.SILENT: 1}
    sms = await _played(FIRST, MORE, channels=("sms",))
    assert sms.figures.outcomes[Outcome.SILENT] == 0
    assert sms.figures.outcomes[Outcome.SENT] >= 1


async def test_extreme_and_ends_interrupt_once_on_every_channel() -> None:
    severe = await _played(FIRST, channels=("push", "sms"))
    assert severe.figures.outcomes == {Outcome.SENT: 1}
    extreme = an_alert("extreme", severity=Severity.EXTREME)
    end = its_end("end", at_s=600, to=(extreme,))
    both = await _played(extreme, end, channels=("push", "sms", "email"))
    assert both.figures.outcomes == {Outcome.SENT: 6}
    assert (both.figures.rung_without_throttle, both.figures.interruptions) == (2, 2)
    assert both.findings.missed.total() == 0


async def test_email_interrupts_nobody() -> None:
    result = await _played(FIRST, channels=("email",))
    assert result.figures.outcomes == {Outcome.SENT: 1}
    assert (result.figures.rung_without_throttle, result.figures.interruptions) == (0, 0)
    assert result.findings.missed.total() == 0
