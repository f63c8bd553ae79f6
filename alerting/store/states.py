"""States in SQL, generated from the transition tables of `domain`.

D, A and W are the states of deliveries, of alerts and of work.

`delivery_from`, `alert_from` and `work_from` give the states that a statement moves to another one,
in brackets: all that may become it, or the ones named. They raise ValueError for a move that the
table does not have, so that a module whose SQL breaks the table cannot be imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from alerting.domain import alert_state, delivery, work_state
from alerting.domain.alert_state import AlertState as A
from alerting.domain.delivery import UNSETTLED
from alerting.domain.delivery import DeliveryState as D
from alerting.domain.transitions import sources
from alerting.domain.work_state import WorkState as W

__all__ = [
    "A",
    "D",
    "W",
    "alert_from",
    "among",
    "delivery_from",
    "moves",
    "settles",
    "unsettled_from",
    "work_from",
]

S = TypeVar("S", bound=StrEnum)


def among(states: Iterable[StrEnum]) -> str:
    """SQL: these states in brackets, for `in`."""
    return "(" + ",".join(f"'{s}'" for s in states) + ")"


def delivery_from(to: D, *old: D) -> str:
    found = _checked(delivery.TRANSITIONS, to, old)
    return among(found)


def alert_from(to: A, *old: A) -> str:
    found = _checked(alert_state.TRANSITIONS, to, old)
    return among(found)


def work_from(to: W, *old: W) -> str:
    found = _checked(work_state.TRANSITIONS, to, old)
    return among(found)


def unsettled_from(to: D) -> list[D]:
    """The states of deliveries that still need a worker and may become `to`."""
    return [s for s in sources(delivery.TRANSITIONS, to) if s in UNSETTLED]


def settles(old: str, new: str) -> str:
    """SQL: whether a worker moves a delivery from the state in one column to that in the other.
    What is settled moves on by receipts alone."""
    cases = [
        f"when '{to}' then {old} in {among(unsettled_from(to))}" for to in D if unsettled_from(to)
    ]
    return f"(case {new} {' '.join(cases)} else false end)"


def moves(*to: D) -> tuple[list[str], list[str]]:
    """All transitions of deliveries to one of these states: their sources, and their targets."""
    pairs = [(old.value, new.value) for new in to for old in sources(delivery.TRANSITIONS, new)]
    return [old for old, _ in pairs], [new for _, new in pairs]


def _checked(table: Mapping[S, frozenset[S]], to: S, old: Sequence[S]) -> Sequence[S]:
    allowed = sources(table, to)
    wrong = [s for s in old if s not in allowed]
    if wrong or not allowed:
        raise ValueError(f"{', '.join(wrong) or 'nothing'} never becomes {to}")
    return old or allowed
