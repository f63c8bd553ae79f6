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
    """Return every reason why nothing is sent to an address; empty when it is used."""
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

    Returns those addresses in their new state: some reasons only the register can remove.

    Args:
        ref: The citizen's key in the register.
        channel: Only this channel; None for all.
        asked: The citizen asked to be notified again. Needed for addresses that they unsubscribed
            themselves.

    Raises:
        NotFound: For an unknown citizen or one with nothing to restore.
        Conflict: For an address that the citizen unsubscribed, without `asked`; nothing is changed.
    """
    found = [
        a
        for a in await directory.addresses_of(connection, ref)
        if channel in {None, a.channel} and (a.withdrawn_at is not None or a.suspended_reason)
    ]
    if not found:
        raise NotFound(
            f"No address of {ref} is unsubscribed or suspended.",
            remedy=f"`alerting citizens show {ref}` says why an address is not used.",
        )
    for a in found:
        by_carrier = a.suppression is not None and a.suppression.source is Source.CARRIER
        if a.withdrawn_at is not None and not by_carrier and not asked:
            raise Conflict(
                f"{a.channel} {masked(a.channel, a.endpoint)}: {unused_because(a)[0]}",
                remedy="Only the citizen can undo that: by the same link, by START, or by asking "
                "you; then give --asked.",
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
