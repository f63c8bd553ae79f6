"""Rosters: the only people a drill may reach, each by a consent of their own.

The only module that makes passes: an address gets one when its citizen is enrolled, and again when
a drill is planned, because the register may have changed it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain import drill_pass
from alerting.domain.alert import Alert, MsgType, Status
from alerting.domain.links import new_key
from alerting.errors import BadInput, NotFound
from alerting.store import audit_log
from alerting.store.admin.secrets import get_or_create
from alerting.store.citizens import roster_rows
from alerting.store.citizens.roster_rows import Member

#: The name of the secret that passes are made with.
_SECRET = "drill"  # noqa: S105 - its name, not itself

_MAX_NAME = 80
_MAX_SOURCE = 200

#: The most roster names listed in an error.
_LISTED = 20

_SENT = frozenset({MsgType.ALERT, MsgType.UPDATE, MsgType.CANCEL})
_REHEARSED = frozenset({Status.EXERCISE, Status.TEST})


async def key(connection: AsyncConnection) -> bytes:
    """The secret that makes and checks passes; created by the first call."""
    return await get_or_create(connection, _SECRET, new_key)


async def create(connection: AsyncConnection, name: str, *, by: str) -> None:
    """Create an empty roster.

    Raises:
        BadInput: For an invalid name.
        Conflict: When there is one with this name already.
    """
    if name != name.strip() or not name.isprintable() or '"' in name:
        raise BadInput(
            "A roster's name must not begin or end with a blank, nor contain quotes or control "
            "characters."
        )
    if not 0 < len(name) <= _MAX_NAME:
        raise BadInput(f"A roster's name must have between 1 and {_MAX_NAME} characters.")
    await roster_rows.create(connection, name, by=by)
    await audit_log.record(connection, by, "roster.create", name)


async def add(
    connection: AsyncConnection, name: str, refs: Sequence[str], *, source: str, by: str
) -> int:
    """Enrol citizens in a roster; returns how many were not members before. All or none.

    Args:
        refs: The citizens' keys in the register.
        source: Where they consented to drills. Needed for citizens who left: they must have
            consented again.

    Raises:
        NotFound: For an unknown roster or citizen.
        BadInput: For an invalid source, or none for citizens who left.
    """
    if len(source) > _MAX_SOURCE or not source.isprintable():
        raise BadInput(f"A source must be one line of at most {_MAX_SOURCE} characters.")
    roster_id = await roster_rows.id_of(connection, name)
    citizens = await _citizens(connection, refs)
    gone = await roster_rows.has_left(connection, roster_id, citizens.values())
    if gone and not source:
        them = ", ".join(ref for ref, id_ in citizens.items() if id_ in gone)
        raise BadInput(
            f"These citizens left {name} and have not consented again: {them}.",
            remedy="Give with --source where they consented again.",
        )
    added = await roster_rows.enrol(
        connection, roster_id, citizens.values(), source=source or f"entered by {by}"
    )
    await prepare(connection, [name])
    await audit_log.record(connection, by, "roster.add", name, {"citizens": sorted(citizens)})
    return added


async def remove(connection: AsyncConnection, name: str, refs: Sequence[str], *, by: str) -> int:
    """End memberships; returns how many. Raises NotFound for an unknown roster or citizen."""
    roster_id = await roster_rows.id_of(connection, name)
    citizens = await _citizens(connection, refs)
    ended = await roster_rows.leave(connection, citizens.values(), roster_id)
    await audit_log.record(connection, by, "roster.remove", name, {"citizens": sorted(citizens)})
    return ended


async def members(connection: AsyncConnection, name: str) -> list[Member]:
    """Return the present and former members of a roster. Raises NotFound."""
    return await roster_rows.members(connection, await roster_rows.id_of(connection, name))


async def leave_all(connection: AsyncConnection, address_id: int, *, actor: str) -> None:
    """End every membership of the owner of this address; real alerts reach them as before.

    Raises:
        NotFound: For an unknown address.
    """
    await roster_rows.leave(connection, [await roster_rows.citizen_at(connection, address_id)])
    await audit_log.record(connection, actor, "roster.leave", f"address {address_id}")


async def require(connection: AsyncConnection, alert: Alert) -> None:
    """Raise BadInput for a drill that names no roster, or one that does not exist."""
    if alert.msg_type not in _SENT or alert.status not in _REHEARSED:
        return
    known = await roster_rows.names(connection)
    unknown = [name for name in alert.addresses if name not in known]
    if alert.addresses and not unknown:
        return
    listed = ", ".join(known[:_LISTED]) + (", …" if len(known) > _LISTED else "")
    raise BadInput(
        f"There is no roster {', '.join(unknown)}."
        if unknown
        else f"An alert with status {alert.status} reaches only the rosters that its addresses "
        "name, and it names none.",
        remedy=(f"Rosters are: {listed}." if known else "There is none yet.")
        + " `alerting drill roster create NAME` makes one; a group of the register is not a "
        "roster.",
    )


async def too_many(connection: AsyncConnection, alert: Alert, *, most: int) -> str | None:
    """Return why a drill has too many members to start without a second person; None if it has not.

    The end of a drill never waits.
    """
    if not alert.is_drill or alert.msg_type is MsgType.CANCEL:
        return None
    members = await roster_rows.count_members(connection, alert.addresses)
    if members <= most:
        return None
    return (
        f"Its rosters have {members:,} members, more than the {most:,} that one person may "
        "rehearse with."
    )


async def prepare(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Make the passes of the rosters' members for their present addresses."""
    secret = await key(connection)
    passes: list[tuple[UUID, int, bytes]] = []
    for e in await roster_rows.enrolled(connection, names):
        wanted = drill_pass.make(secret, e.channel, e.endpoint)
        if e.drill_pass != wanted:
            passes.append((e.roster_id, e.address_id, wanted))
    await roster_rows.add_passes(connection, passes)


async def _citizens(connection: AsyncConnection, refs: Sequence[str]) -> dict[str, int]:
    found = await roster_rows.citizens(connection, refs)
    missing = [ref for ref in dict.fromkeys(refs) if ref not in found]
    if missing:
        raise NotFound(
            f"The register has no citizen {', '.join(missing)}.",
            remedy="Import them first: `alerting citizens import`.",
        )
    return found
