"""A lane with a sender of its own at a provider has a rate of its own there."""

from __future__ import annotations

import pytest

from alerting.channels import registry
from alerting.channels.push.vapid import generate
from alerting.channels.spec import Setup
from alerting.domain.lane import Lane
from alerting.settings import Settings


@pytest.mark.parametrize(
    ("numbers", "lanes"),
    [
        ({}, set()),
        ({"twilio_from_extreme": "+447700900002"}, {Lane.EXTREME}),
        # Drills keep to the rate that real alerts leave them.
        ({"twilio_from_drill": "+447700900003"}, set()),
    ],
)
def test_sms_provider_names_the_lanes_with_their_own_sender(
    numbers: dict[str, str], lanes: set[Lane]
) -> None:
    settings = Settings(
        carriers="real",
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="token",
        twilio_from="+447700900001",
        **numbers,
    )
    (provider,) = registry.spec("sms").providers(Setup(settings, generate(), b"k" * 32, None))
    assert provider.own_lanes == lanes
