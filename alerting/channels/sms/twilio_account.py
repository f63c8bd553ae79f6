"""Ask Twilio whether an account may send and its senders are its own. Nothing is sent.

Source: Twilio's Account and IncomingPhoneNumbers resources (API 2010-04-01).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from alerting.channels.http import HttpClient, NoAnswer
from alerting.channels.sms.twilio_http import Refused, TwilioTransport
from alerting.channels.sms.twilio_sms import TwilioConfig
from alerting.domain.lane import Lane
from alerting.errors import WorkFailed

_API = "https://api.twilio.com/2010-04-01/Accounts"
_NUMBER = re.compile(r"\+\d{7,15}")


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may send. trial: only to numbers its owner has verified.

    unasked: senders of which Twilio tells nothing here, such as names and messaging services.
    """

    trial: bool
    numbers: tuple[str, ...]
    unasked: tuple[str, ...]


async def examine(config: TwilioConfig, *, timeout_s: float) -> Account:
    """Raises WorkFailed, with what to do, where the account or one of its numbers cannot send."""
    client = HttpClient(timeout_s=timeout_s, concurrency=1)
    await client.open()
    try:
        transport = TwilioTransport(client, config.base_url, config.account_sid, config.auth_token)
        return await _examined(transport, config)
    except NoAnswer as e:
        raise WorkFailed(
            f"{_host(config)} does not answer ({e.code}).",
            remedy="Check the way to it, and ALERTING_TWILIO…_BASE_URL where that is set.",
        ) from None
    except Refused as e:
        raise WorkFailed(
            f"{_host(config)} refuses the account {config.account_sid} ({e.code}).",
            remedy="Check ALERTING_TWILIO…_ACCOUNT_SID and …_AUTH_TOKEN.",
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WorkFailed(
            f"{_host(config)} answers, and not as Twilio does.",
            remedy="Check ALERTING_TWILIO…_BASE_URL.",
        ) from None
    finally:
        await client.close()


async def _examined(transport: TwilioTransport, config: TwilioConfig) -> Account:
    account = await _get(transport, f"{_API}/{config.account_sid}.json")
    if account["status"] != "active":
        raise WorkFailed(
            f"The account {config.account_sid} is {account['status']}.",
            remedy="Twilio's console says why.",
        )
    senders = {s for lane in Lane for s in config.sender(lane).values()}
    if not senders:
        raise WorkFailed(
            "The account has no sender.",
            remedy="Set ALERTING_TWILIO…_FROM or …_MESSAGING_SERVICE.",
        )
    numbers = sorted(s for s in senders if _NUMBER.fullmatch(s))
    for number in numbers:
        await _own(transport, config, number)
    return Account(
        account.get("type") == "Trial", tuple(numbers), tuple(sorted(senders - set(numbers)))
    )


async def _own(transport: TwilioTransport, config: TwilioConfig, number: str) -> None:
    page = await _get(
        transport,
        f"{_API}/{config.account_sid}/IncomingPhoneNumbers.json",
        {"PhoneNumber": number},
    )
    found = [n for n in page["incoming_phone_numbers"] if n["phone_number"] == number]
    if not found:
        raise WorkFailed(
            f"{number} is no number of the account {config.account_sid}.",
            remedy="Set ALERTING_TWILIO…_FROM to one that is.",
        )
    if not found[0]["capabilities"]["sms"]:
        raise WorkFailed(
            f"{number} cannot send SMS.", remedy="Set ALERTING_TWILIO…_FROM to one that can."
        )


async def _get(
    transport: TwilioTransport, url: str, query: dict[str, str] | None = None
) -> dict[str, Any]:
    answer = await transport.request("GET", url, params=query)
    document = json.loads(answer.text)
    if not isinstance(document, dict):
        raise TypeError("no object")
    return document


def _host(config: TwilioConfig) -> str:
    return urlsplit(config.base_url).netloc
