"""Version: an earlier alert that a new one may refer to."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from alerting.domain.alert import Reference

Id = TypeVar("Id", bound=Hashable)

#: Sender and identifier in lower case: what names all versions of one alert.
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Version(Generic[Id]):
    """An earlier alert that a new one may be about.

    Attributes:
        order_at: Orders the versions of its thread.
        references: What it refers to.
        end_any: It may end alerts of other senders.
    """

    id: Id
    thread: Id
    event: Id
    triple: Reference
    order_at: datetime
    expires_at: datetime
    references: tuple[Reference, ...] = ()
    end_any: bool = False

    @property
    def sender(self) -> str:
        return self.triple.sender


def name_of(reference: Reference) -> Name:
    return reference.sender.lower(), reference.identifier.lower()
