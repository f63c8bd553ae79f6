"""By which channels the citizens of a replay are told, as the live path would choose them."""

from __future__ import annotations

from dataclasses import replace

from alerting.channels import registry
from alerting.errors import BadInput
from alerting.replay.population import Population

#: As the live path has it of each channel (`providers.failover`).
CAN_BE_SILENT: dict[str, bool] = {s.name: s.can_be_silent for s in registry.specs()}

_MIXED = (("push",), ("sms",), ("email",), ("push", "sms"), ("sms", "email"))

#: What each citizen of a population has, in their order, by turns.
MIXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "push": (("push",),),
    "sms": (("sms",),),
    "mixed": _MIXED,
}


def mixes(words: str) -> list[str]:
    """The mixes of a list such as `push,sms,mixed`. Raises BadInput for one there is none of."""
    names = list(dict.fromkeys(w.strip() for w in words.split(",")))
    for name in names:
        if name not in MIXES:
            raise BadInput(
                f"There is no mix of channels {name!r}.", remedy=f"Choose of {', '.join(MIXES)}."
            )
    return names


def with_channels(population: Population, mix: str) -> Population:
    """The same citizens with the channels of a mix: the first citizen has the first of it, and so
    on, over and over."""
    turns = MIXES[mix]
    citizens = [
        replace(c, channels=turns[no % len(turns)]) for no, c in enumerate(population.citizens)
    ]
    return Population(citizens, population.refused)


def used(channels: tuple[str, ...], *, every: bool) -> tuple[str, ...]:
    """Those an alert goes out by: all, or the first in the citizen's order (`dispatch.plan`)."""
    return channels if every else channels[:1]
