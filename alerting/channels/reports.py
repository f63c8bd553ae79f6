"""What a provider's later report says of a delivery, for every channel whose provider reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alerting.channels import bounces, twilio_codes
from alerting.channels.base import ErrorClass
from alerting.domain.delivery import DeliveryState


@dataclass(frozen=True, slots=True)
class Report:
    """state: what the delivery has come to. error: the class of a failure; None where the
    provider gave no code."""

    state: DeliveryState
    error: ErrorClass | None = None


_State = Callable[[str], DeliveryState | None]
_Classify = Callable[[str], ErrorClass]

_CHANNELS: Mapping[str, tuple[_State, _Classify]] = {
    "sms": (twilio_codes.callback_state, twilio_codes.classify),
    "email": (bounces.report_state, bounces.classify),
}


def read(channel: str, status: str, code: str) -> Report | None:
    """The report in this system's words; None for one that says nothing of delivery."""
    if channel not in _CHANNELS:
        return None
    state_of, classify = _CHANNELS[channel]
    state = state_of(status)
    if state is None:
        return None
    failed = state is DeliveryState.FAILED
    return Report(state, classify(code) if failed and code else None)
