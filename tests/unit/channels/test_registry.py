"""What the registry says of a channel is what its adapter does."""

from __future__ import annotations

import pytest

from alerting.channels import registry, reports
from alerting.channels.base import Rendering
from alerting.channels.push.vapid import generate
from alerting.channels.spec import ChannelSpec, Sandbox, Setup
from alerting.errors import BadInput
from alerting.replay.replay_delivery import WAKING
from alerting.settings import Settings

SANDBOX = Sandbox("127.0.0.1", 8025, 2525, "AC" + "0" * 32, "token")


@pytest.mark.parametrize("spec", registry.specs(), ids=lambda s: s.name)
def test_providers_match_their_channel_spec(spec: ChannelSpec) -> None:
    setup = Setup(Settings(), generate(), b"k" * 32, SANDBOX)
    providers = spec.providers(setup)
    assert providers
    for n, provider in enumerate(providers, 1):
        assert provider.name == f"{spec.name}.{n}"
        assert provider.channel.name == spec.name
        assert provider.channel.can_be_silent == spec.can_be_silent


def test_order_is_that_of_the_specs() -> None:
    assert [s.name for s in registry.specs()] == list(registry.names())
    assert len({s.order for s in registry.specs()}) == len(registry.specs())


def test_unknown_channel_is_refused_with_the_known() -> None:
    with pytest.raises(BadInput, match="Use push, sms or email"):
        registry.spec("fax")


def test_removed_channel_is_harmless() -> None:
    """The ledger outlives a channel that a later release drops."""
    assert reports.read("fax", "delivered", "") is None
    assert not registry.can_be_silent("fax")
    assert "5550" not in registry.masked("fax", "+4477009005550")


def test_only_sms_segments_cost_more_than_one() -> None:
    costs = {s.name: s.cost(Rendering(s.name, "en", "", "word " * 100)) for s in registry.specs()}
    assert costs == {"push": 1, "sms": 4, "email": 1}


def test_replay_wakes_match_the_specs() -> None:
    """The judge of a replay shares nothing with the channels, so it has a list of its own."""
    assert {s.name for s in registry.specs() if s.wakes} == WAKING
