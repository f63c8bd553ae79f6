"""A time limit for statements whose answer somebody waits for."""

from __future__ import annotations

from psycopg.errors import QueryCanceled
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def limit_statements(connection: AsyncConnection, timeout_ms: int) -> None:
    """Limit every later statement of this transaction: one that takes longer fails with an error
    that `took_too_long` recognises."""
    await connection.execute(text(f"set local statement_timeout = {timeout_ms:d}"))


def took_too_long(error: BaseException) -> bool:
    """True for the error of a statement that was ended by its limit."""
    return isinstance(getattr(error, "orig", None) or error, QueryCanceled)
