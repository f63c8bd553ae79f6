"""Pruned: the answer about an alert whose deliveries are no longer kept."""

from __future__ import annotations

from collections import Counter, defaultdict

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import Gone
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger import delivery_queries


async def refuse_pruned(connection: AsyncConnection, stored: StoredAlert) -> None:
    """Raise Gone for an alert that was pruned, with the totals of its deliveries."""
    if stored.pruned_at is None:
        return
    counts: Counter[tuple[str, str, str]] = Counter()
    # While a prune is under way some are still there.
    for rows in (
        await delivery_queries.pruned_counts(connection, stored.id),
        await delivery_queries.counts(connection, stored.id),
    ):
        for channel, state, reason, count in rows:
            counts[channel, state, reason] += count
    raise Gone(
        f"The deliveries of alert {stored.identifier} were pruned on "
        f"{stored.pruned_at:%Y-%m-%d %H:%M %Z}. It was {stored.state}; {_words(counts)}.",
        remedy="The alert itself is kept. For single deliveries restore a backup made before that "
        "day elsewhere.",
    )


def _words(counts: Counter[tuple[str, str, str]]) -> str:
    if not counts:
        return "it had no deliveries"
    by_channel: dict[str, list[str]] = defaultdict(list)
    for (channel, state, reason), count in sorted(counts.items()):
        by_channel[channel].append(f"{count:,} {state}{f' ({reason})' if reason else ''}")
    parts = "; ".join(f"{channel} {', '.join(each)}" for channel, each in by_channel.items())
    return f"of its {counts.total():,} deliveries there were: {parts}"
