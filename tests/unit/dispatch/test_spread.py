from __future__ import annotations

from alerting.dispatch.plan import spread
from alerting.domain.citizen import Recipient, Target


def a_recipient(*targets: Target) -> Recipient:
    return Recipient(1, "en", 0, 0, targets)


PUSH = Target("push", 1, True)
SMS = Target("sms", 2, True)
SMS_2 = Target("sms", 3, True)
OFF = Target("email", 4, False)


def test_spread_uses_the_first_usable_channel() -> None:
    rows = spread([a_recipient(OFF, SMS, SMS_2, PUSH)], all_channels=False)
    assert {c: [r.address_id for r in d] for c, d in rows.items()} == {"sms": [2, 3]}


def test_spread_uses_every_channel_for_extreme() -> None:
    rows = spread([a_recipient(OFF, SMS, PUSH)], all_channels=True)
    assert set(rows) == {"sms", "push"}


def test_spread_without_usable_channel_records_one_row() -> None:
    assert list(spread([a_recipient(OFF)], all_channels=True)) == ["email"]


def test_spread_without_address_is_empty() -> None:
    assert spread([a_recipient()], all_channels=True) == {}
