"""What Twilio says of an account and its numbers, before a message is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from provider_script import SILENCE, Reply, provider

from alerting.channels.sms.twilio_account import Account, examine
from alerting.channels.sms.twilio_sms import TwilioConfig
from alerting.domain.lane import Lane
from alerting.embedded.carriers import SANDBOX_ACCOUNT, SANDBOX_TOKEN, read_log
from alerting.embedded.carriers.server import serving
from alerting.errors import WorkFailed
from alerting.settings import Settings


def config(base_url: str, **changes: Any) -> TwilioConfig:
    return TwilioConfig(
        **{
            "account_sid": SANDBOX_ACCOUNT,
            "auth_token": SANDBOX_TOKEN,
            "base_url": base_url,
            "default_sender": "+447700900000",
        }
        | changes
    )


async def test_examine_account_and_each_number(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path / "var", sandbox_port=0, sandbox_smtp_port=0)
    async with serving(settings) as carriers:
        ours = config(
            carriers.http_url,
            senders={Lane.EXTREME: "+447700900001", Lane.DRILL: "WARNING"},
            messaging_service="MG1",
        )
        found = await examine(ours, timeout_s=60)
        assert found == Account(False, ("+447700900001",), ("MG1", "WARNING"))
        wrong = config(carriers.http_url, auth_token="guess")
        with pytest.raises(WorkFailed, match=r"refuses the account AC.* \(20003\)") as refused:
            await examine(wrong, timeout_s=60)
        with pytest.raises(WorkFailed, match="has no sender"):
            await examine(config(carriers.http_url, default_sender=""), timeout_s=60)
        assert list(read_log(settings.var, "sms")) == []
    assert "guess" not in str(refused.value)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Reply(body=b'{"status": "suspended"}'), "is suspended"),
        (Reply(body=b"<html>"), "answers, and not as Twilio does"),
        (Reply(body=b"[]"), "answers, and not as Twilio does"),
        (Reply(404, b"nothing here"), r"refuses the account .* \(404\)"),
        (SILENCE, r"does not answer \(timeout\)"),
    ],
)
async def test_examine_refuses_unusable_account(script: Reply | str, words: str) -> None:
    async with provider(script, silence_s=60) as twilio:
        with pytest.raises(WorkFailed, match=words):
            await examine(config(twilio.url), timeout_s=60)


async def test_examine_reports_trial_account() -> None:
    body = {
        "status": "active",
        "type": "Trial",
        "incoming_phone_numbers": [
            {"phone_number": "+447700900000", "capabilities": {"sms": True}}
        ],
    }
    async with provider(Reply(body=json.dumps(body).encode())) as twilio:
        assert (await examine(config(twilio.url), timeout_s=60)).trial


async def test_examine_without_answer_fails() -> None:
    with pytest.raises(WorkFailed, match=r"127\.0\.0\.1:9 does not answer \(connect\)"):
        await examine(config("http://127.0.0.1:9"), timeout_s=60)
