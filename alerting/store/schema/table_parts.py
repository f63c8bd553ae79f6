"""What the tables share: their metadata, and columns that many have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, Column, DateTime, MetaData, func
from sqlalchemy.dialects.postgresql import UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def instant(name: str, *, now: bool = False, null: bool = True) -> Column[Any]:
    """A column of instants: by default one that may be empty.

    Args:
        now: Filled with the time of the transaction; never empty.
        null: Whether it may be empty.
    """
    return Column(
        name,
        DateTime(timezone=True),
        nullable=null and not now,
        server_default=func.now() if now else None,
    )


def holders(name: str) -> Column[Any]:
    """Persons beside the own one who had seen the key something was done by."""
    return Column(name, ARRAY(UUID(as_uuid=True)), nullable=False, server_default="{}")
