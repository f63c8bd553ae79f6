"""Which channels there are. A new one is a folder here and a line in `SPECS`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alerting.channels.email.email_channel import EMAIL
from alerting.channels.push.push_channel import PUSH
from alerting.channels.sms.sms_channel import SMS
from alerting.channels.spec import ChannelSpec, Provider, Setup
from alerting.errors import BadInput

if TYPE_CHECKING:
    from alerting.channels.drill_wall import Refused

#: Every channel by name.
SPECS: dict[str, ChannelSpec] = {
    spec.name: spec
    for spec in (
        PUSH,
        SMS,
        EMAIL,
    )
}


def specs() -> tuple[ChannelSpec, ...]:
    """Every channel, in the order used where a citizen ranked none."""
    return tuple(sorted(SPECS.values(), key=lambda s: s.order))


def names() -> tuple[str, ...]:
    """The name of every channel, in the same order."""
    return tuple(s.name for s in specs())


def spec(name: str) -> ChannelSpec:
    """The channel of this name. Raises BadInput where there is none."""
    found = SPECS.get(name)
    if found is None:
        raise BadInput(f"There is no channel named {name!r}.", remedy=f"Use {listed()}.")
    return found


def can_be_silent(name: str) -> bool:
    """True for a channel that can reach somebody without interrupting them; False also for one
    that this release does not have."""
    found = SPECS.get(name)
    return found is not None and found.can_be_silent


def masked(name: str, endpoint: str) -> str:
    """Enough of an endpoint for its owner to know it again, and for nobody else to use it; nothing
    of one whose channel this release does not have."""
    found = SPECS.get(name)
    return "an address" if found is None else found.mask(endpoint)


def listed() -> str:
    """All names as a sentence has them: `push, sms or email`."""
    *others, last = names()
    return f"{', '.join(others)} or {last}" if others else last


def rates() -> tuple[tuple[str, float], ...]:
    """Each channel's name, and its rate where the policy names none."""
    return tuple((s.name, s.per_second) for s in specs())


def reporting() -> list[str]:
    """The channels whose providers report what arrived."""
    return [s.name for s in specs() if s.reports_delivery]


def build(setup: Setup, *, drill_key: bytes, refused: Refused) -> dict[str, tuple[Provider, ...]]:
    """The providers of every channel, the preferred first; all on the sandbox where one is given.

    A channel without settings is left out: its deliveries wait and the log says so. Settings that
    cannot work raise BadInput.

    drill_key: what passes for drills are checked with. refused: hears of each drill that had none.
    """
    # What lays messages out comes with it, and most commands send nothing.
    from alerting.channels.drill_wall import walled

    return {
        s.name: tuple(replace(p, channel=walled(p.channel, drill_key, refused)) for p in built)
        for s in specs()
        if (built := s.providers(setup))
    }
