"""Faults that can be injected, and the random generator that decides when. Set live at
`/sandbox/faults`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from alerting.errors import BadInput

Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CarrierFaults(_Strict):
    """Faults of every carrier. All rates are shares of the incoming messages.

    Attributes:
        latency_ms, jitter_ms: Waits this long, and up to so much longer, before it answers.
        failure_rate: Refuses the message.
        ambiguous_rate: Accepts and logs the message, then drops the connection instead of
            answering.
        rate_limit_per_s: Refuses what comes faster; 0 for no limit.
    """

    latency_ms: Milliseconds = 0
    jitter_ms: Milliseconds = 0
    failure_rate: Rate = 0
    ambiguous_rate: Rate = 0
    rate_limit_per_s: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0


class SmsFaults(CarrierFaults):
    """opted_out: numbers refused with 21610. undelivered_rate: of the accepted messages, those
    whose last callback is `undelivered`. callback_delay_ms: from acceptance to the last callback.
    callback_duplicate_rate: callbacks posted twice. callback_reorder_rate: messages whose last
    callback comes before `sent`.
    """

    failure_status: Annotated[int, Field(ge=400, le=599)] = 503
    failure_code: Annotated[int, Field(ge=10_000, le=99_999)] = 20_500
    opted_out: frozenset[str] = frozenset()
    undelivered_rate: Rate = 0
    undelivered_code: Annotated[int, Field(ge=10_000, le=99_999)] = 30_003
    callback_delay_ms: Milliseconds = 250
    callback_jitter_ms: Milliseconds = 0
    callback_duplicate_rate: Rate = 0
    callback_reorder_rate: Rate = 0


class EmailFaults(CarrierFaults):
    """failure_reply: said after the text. unknown: addresses refused with 550 5.1.1.
    greylist_s: the first try of a sender and recipient gets 451; so do others for so long.
    bounce_rate: of the mails taken, those reported back to their return address as undeliverable
    after bounce_delay_ms, with bounce_status; one of 4.x.x reports a delay only.
    """

    failure_reply: Annotated[
        str, StringConstraints(pattern=r"^[45]\d\d [\x20-\x7e]{1,200}$", strip_whitespace=True)
    ] = "451 4.3.0 The mail system is ill for a while"
    unknown: frozenset[str] = frozenset()
    greylist_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0
    bounce_rate: Rate = 0
    bounce_delay_ms: Milliseconds = 250
    bounce_status: Annotated[str, StringConstraints(pattern=r"^[45]\.\d\.\d{1,3}$")] = "5.1.1"

    @field_validator("unknown")
    @classmethod
    def _lower(cls, addresses: frozenset[str]) -> frozenset[str]:
        return frozenset(a.lower() for a in addresses)


class PushFaults(CarrierFaults):
    """gone: subscription names answered with gone_status."""

    failure_status: Annotated[int, Field(ge=400, le=599)] = 503
    gone: frozenset[str] = frozenset()
    gone_status: Literal[404, 410] = 410


class Faults(_Strict):
    """Everything settable.

    Attributes:
        seed: Where the dice start; the same seed rolls the same.
    """

    seed: int = 1
    sms: SmsFaults = SmsFaults()
    email: EmailFaults = EmailFaults()
    push: PushFaults = PushFaults()


class Desk:
    """Holds the faults in force and decides, message by message, which of them occur."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._dice = _dice(self.faults.seed)
        self._limits: dict[str, _Limit] = {}

    def change(self, wanted: object) -> Faults:
        """Set the named faults and leave the others; a `seed` restarts the random generator.

        Raises:
            BadInput: Naming each wrong one, and changes nothing.
        """
        if not isinstance(wanted, dict):
            raise BadInput('Faults are a JSON object such as {"sms": {"failure_rate": 0.1}}.')
        try:
            faults = Faults.model_validate(_merged(self.faults.model_dump(), wanted))
        except ValidationError as e:
            rows = "; ".join(f"{'.'.join(map(str, r['loc']))}: {r['msg']}" for r in e.errors())
            raise BadInput(
                f"Wrong faults: {rows}.", remedy="GET /sandbox/faults shows them all."
            ) from e
        self.faults = faults
        if "seed" in wanted:
            self._dice = _dice(faults.seed)
        return faults

    def reset(self) -> Faults:
        """No faults, and a restarted random generator."""
        self.faults = Faults()
        self._dice = _dice(self.faults.seed)
        self._limits.clear()
        return self.faults

    def strikes(self, rate: float) -> bool:
        """True for a share `rate` of the calls; a rate of 0 uses no random number."""
        return rate > 0 and self._dice.random() < rate

    def up_to(self, most: float) -> float:
        """Evenly between 0 and `most`."""
        return self._dice.random() * most if most else 0.0

    async def delay(self, faults: CarrierFaults) -> None:
        """Wait as long as the carrier takes at present."""
        if faults.latency_ms or faults.jitter_ms:
            await asyncio.sleep((faults.latency_ms + self.up_to(faults.jitter_ms)) / 1000)

    def too_fast(self, carrier: str, faults: CarrierFaults) -> bool:
        """True when this message exceeds the carrier's rate; it then does not count."""
        rate = faults.rate_limit_per_s
        if not rate:
            return False
        limit = self._limits.get(carrier)
        if limit is None or limit.rate != rate:
            limit = self._limits[carrier] = _Limit(rate)
        return not limit.take(time.monotonic())


class _Limit:
    """A leaky bucket that permits a burst of a tenth of a second, one message at least."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._every_s = 1 / rate
        self._slack_s = max(0.0, 0.1 - self._every_s)
        self._due = 0.0

    def take(self, now: float) -> bool:
        if self._due - now > self._slack_s:
            return False
        self._due = max(self._due, now) + self._every_s
        return True


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - has to be repeatable, guards nothing


def _merged(current: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(current)
    for name, value in wanted.items():
        inner = merged.get(name)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = {**inner, **value}
        merged[name] = value
    return merged
