"""SMS, by Twilio accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from alerting.channels.sms import phone_number, twilio_codes
from alerting.channels.sms.sms_text import sms_digest, sms_layout
from alerting.channels.spec import (
    CHECK_S,
    ChannelSpec,
    Check,
    Finding,
    Provider,
    Report,
    Sandbox,
    Setup,
)
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.domain.segments import measure
from alerting.errors import AlertingError
from alerting.settings import Settings, TwilioAccount

if TYPE_CHECKING:
    from alerting.channels.sms.twilio_sms import TwilioConfig

# The adapter brings Twilio's SDK, which most commands do without: it is imported where it is built.


def accounts(settings: Settings, sandbox: Sandbox | None) -> list[TwilioConfig]:
    """The SMS accounts, the preferred first; the sandbox's alone where one is given."""
    if sandbox is not None:
        return [_sandbox(settings, sandbox)]
    return [_account(settings, account) for account in settings.twilio_accounts]


def _providers(setup: Setup) -> Sequence[Provider]:
    from alerting.channels.sms.twilio_sms import TwilioSms

    return [
        # Drills keep to the rate that real alerts leave them, whatever number they go by.
        Provider(f"{SMS.name}.{n}", TwilioSms(c), frozenset(c.senders) - {Lane.DRILL})
        for n, c in enumerate(accounts(setup.settings, setup.sandbox), 1)
    ]


def _sandbox(settings: Settings, sandbox: Sandbox) -> TwilioConfig:
    from alerting.channels.sms.twilio_sms import TwilioConfig

    return TwilioConfig(
        account_sid=sandbox.account,
        auth_token=sandbox.token,
        base_url=f"http://{sandbox.host}:{sandbox.http_port}",
        default_sender="+447700900000",
        status_callback_url=_callback(settings),
        timeout_s=settings.twilio_timeout_s,
        concurrency=settings.twilio_concurrency,
    )


def _account(settings: Settings, account: TwilioAccount) -> TwilioConfig:
    from alerting.channels.sms.twilio_sms import TwilioConfig

    own = {Lane.EXTREME: account.from_extreme, Lane.DRILL: account.from_drill}
    return TwilioConfig(
        account_sid=account.sid,
        auth_token=account.token,
        base_url=account.base_url,
        default_sender=account.from_,
        senders={lane: number for lane, number in own.items() if number},
        messaging_service=account.messaging_service,
        status_callback_url=_callback(settings),
        timeout_s=settings.twilio_timeout_s,
        concurrency=settings.twilio_concurrency,
    )


def _callback(settings: Settings) -> str:
    return f"{settings.public_url}/webhooks/twilio/status"


def _read_report(status: str, code: str) -> Report | None:
    state = twilio_codes.callback_state(status)
    if state is None:
        return None
    failed = state is DeliveryState.FAILED
    return Report(state, twilio_codes.classify(code) if failed and code else None)


def _is_typed_as(value: str) -> bool:
    return "@" not in value and any(c.isdecimal() for c in value)


def _checks(setup: Setup) -> Mapping[str, Check]:
    found: dict[str, Check] = {
        f"{SMS.name}.{n}": partial(_examine, account)
        for n, account in enumerate(accounts(setup.settings, setup.sandbox), 1)
    }
    if setup.settings.carriers == "real":
        for n, account in enumerate(setup.settings.twilio_accounts, 1):
            if not account.from_drill:
                found[f"{SMS.name}.{n} for drills"] = _no_drill_sender
    return found


async def _examine(config: TwilioConfig) -> Finding:
    from alerting.channels.sms import twilio_account

    if not config.auth_token:
        raise AlertingError(
            f"The account {config.account_sid} has no token.",
            remedy="Set ALERTING_TWILIO…_AUTH_TOKEN.",
        )
    found = await twilio_account.examine(config, timeout_s=CHECK_S)
    words = f"{config.account_sid} is active"
    if found.numbers:
        words += f", sends by {', '.join(found.numbers)}"
    if found.unasked:
        words += f"; cannot be asked: {', '.join(found.unasked)}"
    if found.trial:
        remedy = "It reaches only numbers you have verified there."
        return Finding(f"{words}; a trial account", remedy)
    return Finding(words)


async def _no_drill_sender() -> Finding:
    return Finding(
        "goes by the sender of real alerts",
        "A STOP to a drill would block the number that warns; …_FROM_DRILL sets another.",
    )


SMS = ChannelSpec(
    name="sms",
    order=2,
    can_be_silent=False,
    wakes=True,
    reports_delivery=True,
    parse_address=phone_number.parse,
    mask=phone_number.mask,
    is_typed_as=_is_typed_as,
    drops_invisible=True,
    render=sms_layout,
    render_digest=sms_digest,
    providers=_providers,
    checks=_checks,
    read_report=_read_report,
    measure=measure,
    per_second=0,
)
