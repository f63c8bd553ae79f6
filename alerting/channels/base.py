"""The contract every channel adapter keeps, and the closed set of ways a send can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from alerting.domain.lane import Lane


class Fault(StrEnum):
    """Whose fault a refusal is; decides what may be done about it."""

    ADDRESS = "address"  # this endpoint is dead or has left: never burn another try on it
    CONTENT = "content"  # this text is refused: another try says the same
    OURS = "ours"  # credentials, sender, configuration: stop calling this provider
    CAPACITY = "capacity"  # too fast: slow down, then try again
    PROVIDER = "provider"  # the provider or the way to it is ill: try again later
    TIME = "time"  # the message outlived its use: do not send it again


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """One member of the closed error set.

    retryable: the provider has definitely not taken the message and may take it later.
    suspend: the address should not be used again on this channel until verified anew.
    operator_text: one sentence for the person on duty.
    """

    code: str
    fault: Fault
    retryable: bool
    operator_text: str
    suspend: bool = False


OPTED_OUT = ErrorClass(
    "opted-out", Fault.ADDRESS, False, "The citizen told the provider to stop.", suspend=True
)
DEAD_ADDRESS = ErrorClass(
    "dead-address",
    Fault.ADDRESS,
    False,
    "The provider says this address does not exist.",
    suspend=True,
)
UNREACHABLE = ErrorClass(
    "unreachable", Fault.ADDRESS, True, "The device or mailbox cannot be reached at the moment."
)
REFUSED_CONTENT = ErrorClass(
    "refused-content", Fault.CONTENT, False, "The provider refuses this text or its size."
)
DRILL_REFUSED = ErrorClass(
    "drill-refused",
    Fault.CONTENT,
    False,
    "It was a drill, and the address had no pass for drills or the text did not begin with the "
    "word for one.",
)
OUR_FAULT = ErrorClass(
    "our-fault",
    Fault.OURS,
    False,
    "The provider refuses our credentials or sender. Check the channel's settings.",
)
THROTTLED = ErrorClass("throttled", Fault.CAPACITY, True, "The provider asks us to slow down.")
PROVIDER_DOWN = ErrorClass(
    "provider-down", Fault.PROVIDER, True, "The provider failed or could not be connected."
)
TOO_LATE = ErrorClass("too-late", Fault.TIME, False, "The message outlived its validity.")
AMBIGUOUS = ErrorClass(
    "ambiguous",
    Fault.PROVIDER,
    False,
    "The connection broke after the message was handed over: it may have been taken.",
)

ERROR_CLASSES: Mapping[str, ErrorClass] = {
    e.code: e
    for e in (
        OPTED_OUT, DEAD_ADDRESS, UNREACHABLE, REFUSED_CONTENT, DRILL_REFUSED, OUR_FAULT, THROTTLED,
        PROVIDER_DOWN, TOO_LATE, AMBIGUOUS,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rendering:
    """An alert's text for one channel, language and area; the same object for a whole group.

    `subject` and `html` are empty where the channel has none. `text` already fits the channel.
    """

    channel: str
    language: str
    subject: str
    text: str
    html: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to one endpoint.

    delivery_id: our reference; sent along so that a lost answer can be looked up.
    endpoint: E.164 number, mail address, or push subscription URL.
    keys: what else the endpoint needs (push: `p256dh`, `auth`).
    unsubscribe_token: opaque; makes this citizen's own leave link.
    thread: stable for all that may take one another's place on the device: an alert's versions.
    valid_until: when the provider must give up; None means the channel's default.
    silent: to be shown without a sound; only for channels that can (`Channel.can_be_silent`).
    drill: the alert is not Actual. drill_pass: what lets a drill through to this endpoint.
    """

    delivery_id: int
    endpoint: str
    rendering: Rendering
    lane: Lane
    thread: str
    valid_until: datetime | None = None
    unsubscribe_token: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False
    drill: bool = False
    drill_pass: bytes = b""


class Outcome(NamedTuple):
    """How one send ended: taken (`error` is None) or not, and why.

    A tuple, because a worker makes thousands a second.

    provider_ref: the provider's own id, where it gave one.
    provider_code: the provider's code as it wrote it (`21610`, `550 5.1.1`, `410`).
    retry_after_s: how long the provider asked us to wait.
    provider: who was called, as the settings name it. called: False where nobody was.
    """

    delivery_id: int
    error: ErrorClass | None = None
    provider_ref: str = ""
    provider_code: str = ""
    retry_after_s: float | None = None
    provider: str = ""
    called: bool = True

    @property
    def accepted(self) -> bool:
        return self.error is None


class Channel(Protocol):
    """Speaks to the providers of one medium. Bound to the event loop it is opened on.

    `send` never raises for anything a provider does: every end is an Outcome from the closed set.
    It is safe to call concurrently; the adapter pools its connections up to `concurrency`.

    can_be_silent: it can replace what a device shows without interrupting its owner.
    """

    name: str
    concurrency: int
    can_be_silent: bool

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, message: Outgoing) -> Outcome: ...


class CannotLookUp(Exception):
    """The provider could not be asked; what it took stays unknown."""


@runtime_checkable
class CanLookUp(Protocol):
    """A channel whose provider can be asked what it took, after an answer was lost."""

    async def look_up(self, message: Outgoing, *, since: datetime) -> Outcome | None:
        """How the provider's own records say this very message ended, tried at or after `since`.

        An Outcome without an error where it was taken, with one where it was taken and refused
        later; None where the provider answers and does not know it. Raises CannotLookUp.
        """
        ...
