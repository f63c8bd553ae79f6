"""Addresses that are not used: why, and how an operator restores them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels.base import ERROR_CLASSES
from alerting.channels.registry import masked
from alerting.errors import Conflict, NotFound
from alerting.store.citizens import directory, suppressions
from alerting.store.citizens.directory import AddressState
from alerting.store.citizens.suppressions import Endpoint, Source


def unused_because(address: AddressState) -> list[str]:
    """Every reason for which nothing is sent to an address; empty when it is used."""
    reasons = []
    if address.suppression is not None:
        reasons.append(address.suppression.sentence)
    elif address.withdrawn_at is not None:
        reasons.append(f"{Source.LINK.sentence}.")
    elif not address.consent:
        reasons.append("The register has no consent for it.")
    if not address.verified:
        reasons.append("The register says that it was never verified.")
    if address.suspended_reason:
        known = ERROR_CLASSES.get(address.suspended_reason)
        reasons.append(known.operator_text if known else f"{address.suspended_reason}.")
    return reasons


async def restore(
    connection: AsyncConnection,
    ref: str,
    *,
    channel: str | None,
    asked: bool,
    actor: str,
    why: str,
) -> list[AddressState]:
    """Use a citizen's unsubscribed or suspended addresses again.

    Returns those addresses as they are then: some reasons only the register can remove. Raises
    NotFound for an unknown citizen or one with nothing to restore; Conflict, having changed
    nothing, for what they unsubscribed themselves.

    Args:
        channel: Only this channel.
        asked: The citizen asked to be warned again; without it, what they unsubscribed themselves
            stays so.
    """
    found = [
        a
        for a in await directory.addresses_of(connection, ref)
        if channel in {None, a.channel} and (a.withdrawn_at is not None or a.suspended_reason)
    ]
    if not found:
        raise NotFound(
            f"No address of {ref} was left or suspended.",
            remedy=f"`alerting citizens show {ref}` says what stands against each.",
        )
    for a in found:
        by_carrier = a.suppression is not None and a.suppression.source is Source.CARRIER
        if a.withdrawn_at is not None and not by_carrier and not asked:
            raise Conflict(
                f"{a.channel} {masked(a.channel, a.endpoint)}: {unused_because(a)[0]}",
                remedy="Only they can take that back: by the same link, by START, or by asking "
                "you; then say --asked.",
            )
    for a in found:
        await suppressions.start(
            connection,
            [Endpoint(a.channel, a.endpoint)],
            actor=actor,
            revive=True,
            subject=f"address {a.id}",
            why=why,
        )
    restored = {a.id for a in found}
    return [a for a in await directory.addresses_of(connection, ref) if a.id in restored]
