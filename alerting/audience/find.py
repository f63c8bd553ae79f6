"""Find: stream the citizens of an alert's areas from the directory, with constant memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.gather import Hits, gather, ground, of_citizens
from alerting.audience.runs import in_runs
from alerting.audience.zones import Zones
from alerting.channels import registry
from alerting.domain.alert import Alert, NamedValue
from alerting.domain.citizen import Recipient, Target
from alerting.domain.geocode import ranges
from alerting.store.citizens import candidates, directory
from alerting.store.citizens.candidates import Among
from alerting.store.db import raw
from alerting.store.ledger import planning

#: The first batch is smaller by this factor: with a cold cache, each citizen costs a few disk
#: reads.
_FIRST = 4

#: Later batches are larger by up to this factor: fewer transactions, fuller chunks.
_GROWTH = 4

#: Smaller numbers of people are not disclosed to principals that may not read the register: they
#: would show who lives where.
FEW = 10

#: Citizens read first to find out whether anybody is in an area.
_LOOKED_AT = 50


async def find(
    connection: AsyncConnection,
    alert: Alert,
    *,
    batch: int = 1000,
    not_planned_for: UUID | None = None,
    now: datetime | None = None,
) -> AsyncGenerator[list[Recipient]]:
    """Yield every citizen in the alert's areas, each once, in no particular order.

    A citizen is in an area when one of their places touches a polygon or circle of it, edges
    included, or one of their geocodes equals one of its. An Actual alert that is not public finds
    only members of the groups its `addresses` name, a drill only members of the rosters they name;
    without an area it finds all of them.

    Streams through a server-side cursor on `connection`, whose transaction must be new and stay
    open: it sees one snapshot of the directory from beginning to end. The first batch comes after a
    quarter of `batch` citizens, later ones hold up to four times `batch`.

    Args:
        not_planned_for: Leave out citizens with a delivery for this alert.
        now: Infos that have ended by then are ignored; None for when the alert was sent.
    """
    among = None if alert.for_public else Among(alert.addresses, rosters=alert.is_drill)
    if among is not None and not among.names:
        return
    driver = await raw(connection)
    await candidates.see_one_moment(driver)
    zones = Zones(alert, now=now)
    first = max(1, batch // _FIRST)
    everybody = _hits(driver, alert, zones, among=among, first=first)
    async with aclosing(in_runs(everybody, batch=batch * _GROWTH)) as parts:
        async for part in parts:
            if not_planned_for is not None:
                part = await _not_planned(connection, part, not_planned_for)
            if len(part):
                yield await recipients_of(driver, zones, part)


async def count(connection: AsyncConnection, alert: Alert, *, unless_below: int) -> int:
    """Estimate how many citizens a public alert's areas hold: slightly too many, never too few.

    Args:
        unless_below: Counts the places first, which is much faster, and returns their number when
            it is not larger than this.
    """
    zones = Zones(alert)
    if not zones.zones:
        return 0
    driver = await raw(connection)
    where = await ground(driver, zones)
    return await candidates.count(
        driver, where.lows, where.highs, where.geocodes, unless_below=unless_below
    )


async def holds(
    connection: AsyncConnection, alert: Alert, citizen_id: int, *, now: datetime | None = None
) -> bool:
    """True when a citizen is in an alert's areas. Groups and rosters are not checked.

    An alert without an area holds everybody, unless it is public.

    Args:
        now: As in `find`.
    """
    zones, driver = Zones(alert, now=now), await raw(connection)
    if not zones.zones:
        return not alert.for_public
    return bool(len(await of_citizens(driver, await ground(driver, zones), [citizen_id])))


async def at_least(connection: AsyncConnection, alert: Alert, people: int) -> bool:
    """True when a public alert's areas hold at least `people` citizens. Cheap when they hold many
    more."""
    zones = Zones(alert)
    if not zones.zones:
        return False
    driver = await raw(connection)
    where = await ground(driver, zones)
    async with aclosing(gather(driver, where, among=None, first=_LOOKED_AT)) as found:
        async for hits in found:
            people -= len(hits)
            if people <= 0:
                return True
    return False


async def unknown_codes(
    connection: AsyncConnection, alert: Alert, *, least: int = 1
) -> list[NamedValue]:
    """The geocodes of an alert that fewer than `least` citizens have, in its order."""
    named = dict.fromkeys(g for i in alert.infos for a in i.areas for g in a.geocodes)
    asked = [(code, keys) for code in named for keys in ranges(code)]
    driver = await raw(connection)
    unheld = await candidates.unheld(driver, [keys for _, keys in asked], least=least)
    known = {code for no, (code, _) in enumerate(asked) if no not in unheld}
    return [code for code in named if code not in known]


async def _hits(
    driver: candidates.Driver, alert: Alert, zones: Zones, *, among: Among | None, first: int
) -> AsyncGenerator[Hits]:
    if zones.zones:
        where = await ground(driver, zones)
        async with aclosing(gather(driver, where, among=among, first=first)) as found:
            async for hits in found:
                yield hits
    elif among is not None and alert.infos:
        async with aclosing(candidates.members(driver, among, first=first)) as members:
            async for ids in members:
                nothing = np.zeros(len(ids), np.int16)
                yield Hits(np.sort(np.array(ids, np.int64)), nothing, nothing)


async def _not_planned(connection: AsyncConnection, hits: Hits, alert_id: UUID) -> Hits:
    known = await planning.planned(connection, alert_id, hits.citizen_ids.tolist())
    return hits.only(~np.isin(hits.citizen_ids, known)) if known else hits


async def recipients_of(driver: candidates.Driver, zones: Zones, hits: Hits) -> list[Recipient]:
    """The citizens by ascending id, each with addresses in their preferred order of channels."""
    ids = hits.citizen_ids.tolist()
    rows = await directory.contacts(driver, ids, registry.names())
    bits = dict(zip(ids, zip(hits.zones.tolist(), hits.places.tolist(), strict=True), strict=True))
    recipients = []
    # A loop instead of groupby: a million citizens have millions of rows.
    targets: list[Target] = []
    for no, (citizen_id, language, channel, address_id, usable) in enumerate(rows, 1):
        if channel:
            targets.append(Target(channel, address_id, usable))
        if no < len(rows) and rows[no][0] == citizen_id:
            continue
        mask, places = bits[citizen_id]
        info_no, area_no = zones.choose(mask, language) if mask else zones.anywhere(language)
        recipients.append(Recipient(citizen_id, language, info_no, area_no, tuple(targets), places))
        targets.clear()
    return recipients
