"""Tables of transitions: what a state may become. SQL that moves states is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

S = TypeVar("S", bound=StrEnum)


def sources(table: Mapping[S, frozenset[S]], to: S) -> tuple[S, ...]:
    """The states that may become `to`, in the order of the table."""
    return tuple(old for old, ends in table.items() if to in ends)


def final(table: Mapping[S, frozenset[S]]) -> frozenset[S]:
    """The states that nothing leaves."""
    return frozenset(s for s, ends in table.items() if not ends)
