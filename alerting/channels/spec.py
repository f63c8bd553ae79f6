"""What the rest of the system knows of a channel: a ChannelSpec for each, listed in `registry`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from alerting.channels.base import Channel, ErrorClass, Rendering
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.domain.segments import Segments
from alerting.errors import BadInput

if TYPE_CHECKING:
    from alerting.channels.text.content import Content
from alerting.settings import Settings


class BadAddress(BadInput):
    """A value is no address of this channel. The sentence goes on behind the channel's name."""


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint in the form in which it is kept; `keys` is what else it needs."""

    endpoint: str
    keys: Mapping[str, str] = field(default_factory=dict)


class ParseAddress(Protocol):
    def __call__(self, value: str, *, allow_loopback: bool = False) -> Address:
        """Read an address as registers and people write it; nothing is guessed.

        allow_loopback: also take one of this machine, as the stand-in carriers have. Raises
        BadAddress.
        """
        ...


class Layout(NamedTuple):
    """An alert as one channel shows it; `subject` and `html` are empty where it has none."""

    subject: str
    text: str
    html: str = ""


#: The same content with the words around it in another language.
ReadBy: TypeAlias = Callable[[str], "Content"]


@dataclass(frozen=True, slots=True)
class Digest:
    """Several alerts that go in one message, the most severe first.

    title: of the whole. link: of the first. in_text_languages: the contents, each with the words
    around it in the language of its sender's texts.
    """

    contents: Sequence[Content]
    title: str
    link: str
    in_text_languages: Callable[[], Sequence[Content]]


@dataclass(frozen=True, slots=True)
class Report:
    """state: what the delivery has come to. error: the class of a failure; None where the
    provider gave no code."""

    state: DeliveryState
    error: ErrorClass | None = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where the stand-in carriers are and what their Twilio account is called."""

    host: str
    http_port: int
    smtp_port: int
    account: str
    token: str


@dataclass(frozen=True, slots=True)
class Setup:
    """What providers are built from.

    vapid: who we are to push services. bounce_key: what return addresses are made with. sandbox:
    the stand-in carriers, where every provider is one of these.
    """

    settings: Settings
    vapid: bytes
    bounce_key: bytes
    sandbox: Sandbox | None


@dataclass(frozen=True, slots=True)
class Provider:
    """One company or server that carries a channel.

    name: `sms.1`, `sms.2`, … in the order of the settings. own_lanes: the lanes that have a sender
    of their own there, with a rate of its own. slow_s: an answer that takes longer is slow
    for one of its kind. by_origin: the servers behind the addresses are what works or does not,
    each for itself.
    """

    name: str
    channel: Channel
    own_lanes: frozenset[Lane] = frozenset()
    slow_s: float = 3.0
    by_origin: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; remedy: what should be done about it, empty where all is well."""

    text: str
    remedy: str = ""


#: How long what a check asks may take to answer.
CHECK_S = 5.0

#: Asks one thing of a provider without sending anything. Raises AlertingError where it is broken.
Check: TypeAlias = Callable[[], Awaitable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """One channel.

    name: in the database, the register's header, policies and addresses of providers. order: its
        place where a citizen ranked none; the least is tried first.
    can_be_silent: it can reach somebody without interrupting them. wakes: what is not sent
        silently interrupts. reports_delivery: its providers report what arrived, so that silence
        means something. leave_link: its messages have room for a link to unsubscribe.
        in_mail_log: its relays keep a log that says what they took.
    parse_address, mask: an address as it is written, and enough of it for its owner to know it
        again. is_typed_as: whether a person who typed this meant an address of this channel; None
        where nobody types them. multiline: an address may hold line breaks. drops_invisible:
        invisible characters in an address mean nothing.
    render: lays an alert out; also gets the words around it in other languages. render_digest:
        the same for several.
    providers: built from the settings, the preferred first; none where it is not set up. checks:
        what `doctor` asks of them, by name.
    read_report: what a provider's later report says of a delivery, from its status and code; None
        for nothing.
    measure: the segments of a text, which the provider counts and charges; None where a message
        is one. per_second: the rate where the policy names none; 0 is no limit.
    """

    name: str
    order: int
    can_be_silent: bool
    wakes: bool
    reports_delivery: bool
    parse_address: ParseAddress
    mask: Callable[[str], str]
    render: Callable[[Content, ReadBy], Layout]
    render_digest: Callable[[Digest], Layout]
    providers: Callable[[Setup], Sequence[Provider]]
    per_second: float
    is_typed_as: Callable[[str], bool] | None = None
    multiline: bool = False
    drops_invisible: bool = False
    leave_link: bool = False
    in_mail_log: bool = False
    read_report: Callable[[str, str], Report | None] | None = None
    measure: Callable[[str], Segments] | None = None
    checks: Callable[[Setup], Mapping[str, Check]] | None = None

    def cost(self, rendering: Rendering) -> int:
        """What one message takes of the provider's rate, and of the bill."""
        return 1 if self.measure is None else self.measure(rendering.text).count
