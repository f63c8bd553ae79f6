"""One marked test message by the real route, and the provider's answer."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.bootstrap import Runtime
from alerting.channels import registry
from alerting.channels.base import Outcome, Outgoing, Rendering
from alerting.channels.spec import BadAddress
from alerting.cli.transaction import actor
from alerting.dispatch.alarms import Alarms
from alerting.domain.lane import Lane
from alerting.errors import BadInput, WorkFailed
from alerting.settings import Settings
from alerting.store import audit_log
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint

_SUBJECT = "TEST: nothing to do"
_TEXT = (
    "TEST. This is a test of the equipment that sends alerts. There is no danger, and nothing "
    "to do. TEST."
)

#: How long a provider may keep it.
_VALID = timedelta(minutes=10)


async def send_test(config: Settings, address: str) -> str:
    """Send one message, marked as a test, to a phone number or email address; return the answer.

    It goes by the channel's first provider, as an alert would, and is in no alert's ledger; the
    audit log records who sent it and by which provider.

    Raises:
        BadInput: For an address of neither kind, one whose owner unsubscribed, or a channel without
            settings.
        WorkFailed: When the provider did not accept it.
    """
    channel, endpoint = _reached_by(address)
    async with Runtime.open(config) as runtime:
        providers = runtime.providers(Alarms(runtime.db)).get(channel)
        if not providers:
            raise BadInput(
                f"There is no {channel} in the settings.", remedy="`alerting doctor` says more."
            )
        first = providers[0]
        async with runtime.db.begin() as connection:
            await _refuse_stopped(connection, Endpoint(channel, endpoint))
            await audit_log.record(
                connection, await actor(connection), "doctor.send-test", first.name
            )
        await first.channel.open()
        try:
            outcome = await first.channel.send(
                Outgoing(
                    delivery_id=0,
                    endpoint=endpoint,
                    rendering=Rendering(channel, "en", _SUBJECT, _TEXT),
                    lane=Lane.ROUTINE,
                    thread="",
                    valid_until=runtime.clock.now() + _VALID,
                )
            )
        finally:
            await first.channel.close()
    return _said(first.name, outcome)


async def _refuse_stopped(connection: AsyncConnection, endpoint: Endpoint) -> None:
    stopped = await suppressions.of_endpoint(connection, endpoint)
    if stopped is not None:
        raise BadInput(
            f"{registry.masked(*endpoint)} is not written to. {stopped.sentence}",
            remedy="Send the test to an address of your own.",
        )


def _reached_by(address: str) -> tuple[str, str]:
    """The channel that an address typed by a person belongs to, and its endpoint.

    Raises:
        BadInput: When it belongs to none.
    """
    for spec in registry.specs():
        if spec.is_typed_as is not None and spec.is_typed_as(address):
            try:
                return spec.name, spec.parse_address(address).endpoint
            except BadAddress as e:
                raise BadInput(
                    f"{address} is no {spec.name} address: {e.detail}", remedy=e.remedy
                ) from e
    raise BadInput(f"{address} is neither a mail address nor a phone number such as +447700900123.")


def _said(provider: str, outcome: Outcome) -> str:
    code = f" ({outcome.provider_code})" if outcome.provider_code else ""
    if outcome.error is not None:
        raise WorkFailed(
            f"{provider} did not take it{code}: {outcome.error.operator_text}",
            remedy="`alerting doctor` asks it what is wrong.",
        )
    ref = f", as {outcome.provider_ref}" if outcome.provider_ref else ""
    return f"{provider} took it{ref}{code}. That it arrived, only its receiver can say."
