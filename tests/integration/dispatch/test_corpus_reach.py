"""Any schema-valid real alert, submitted, reaches exactly the citizens its areas hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from databases import emptying, with_dependents
from dispatch_harness import DispatchHarness, Recorder
from sizes import size

from alerting.audience.h3_cover import cell_of
from alerting.cap import called_a_test, read, to_xml
from alerting.dispatch.evaluation import policies
from alerting.domain.alert import Alert, MsgType
from alerting.domain.alert_state import AlertState
from alerting.domain.geometry import distance_km, ring_shape
from alerting.domain.principal import internal
from alerting.errors import Conflict
from alerting.store.citizens.import_citizens import (
    RegisterAddress,
    RegisterPlace,
    RegisterRow,
    merge,
)
from alerting.store.db import raw

#: More than this many circles and polygons of one kind add nothing new.
PER_ALERT = 3


def real_alerts(corpus: Path) -> list[Alert]:
    """The first public alert of every file whose alerts are all schema-valid."""
    found: dict[tuple[str, str], Alert] = {}
    for line in (corpus / "corpus" / "index.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if not row["alerts"] or row["xsd_ok"] != row["alerts"] or row["cap"] != ["1.2"]:
            continue
        reading = read((corpus / "corpus" / row["file"]).read_bytes())
        for a in reading.alerts:
            # The end of a danger goes to those who were told of it, not to those in its area.
            live = not any(i.ends_danger for i in a.infos)
            if (
                a.for_public
                and a.msg_type in {MsgType.ALERT, MsgType.UPDATE}
                and shapes(a)
                and live
            ):
                # A submission for the public may not name for whom it is.
                plain = replace(a, restriction=None, addresses=())
                found.setdefault((a.sender, a.identifier), plain)
                break
    return list(found.values())


def shapes(a: Alert) -> bool:
    return any(x.polygons or x.circles or x.geocodes for i in a.infos for x in i.areas)


def homes(a: Alert) -> list[tuple[float, float]]:
    """Points that should be, and points that should not be, in the alert's areas."""
    points = []
    for area in [x for i in a.infos for x in i.areas][:PER_ALERT]:
        for p in area.polygons[:PER_ALERT]:
            shape = ring_shape(p.points)
            inside = shape.representative_point()
            west, south, east, north = shape.bounds
            points += [(inside.y, inside.x), p.points[0]]
            points += [(min(89.0, north + 0.01), east), (south, max(-180.0, west - 0.01))]
        for c in area.circles[:PER_ALERT]:
            points += [(c.lat, c.lon), (max(-89.0, c.lat - c.radius_km / 111 - 0.01), c.lon)]
    return [(max(-90.0, min(90.0, y)), (x + 180) % 360 - 180) for y, x in points]


def spelt(name: str) -> str:
    """Senders write ISO 3166-2 and ISO3166-2."""
    return "".join(c for c in name.casefold() if c not in " _-")


def held(a: Alert, people: dict[str, tuple[float, float]]) -> set[str]:
    """Whose homes its polygons and circles hold, by plain geometry."""
    lat, lon = np.array(list(people.values())).T
    inside = np.zeros(len(people), dtype=bool)
    for area in [x for i in a.infos for x in i.areas]:
        for p in area.polygons:
            inside |= shapely.intersects_xy(ring_shape(p.points), lon, lat)
        for c in area.circles:
            inside |= distance_km(c.lat, c.lon, lat, lon) <= c.radius_km
    return {mail for mail, is_in in zip(people, inside, strict=True) if is_in}


def named(a: Alert, codes: dict[str, tuple[str, str]]) -> set[str]:
    """Whose geocodes it names, by plain comparison."""
    notified = {(spelt(g.name), g.value) for i in a.infos for x in i.areas for g in x.geocodes}
    return {mail for mail, (name, value) in codes.items() if (spelt(name), value) in notified}


async def test_corpus_alerts_reach_exactly_their_area(
    harness: DispatchHarness, corpus: Path
) -> None:
    alerts = real_alerts(corpus)
    assert len(alerts) > 50
    alerts = alerts[:: size(4, 1)]
    people = {f"h{n}@example.org": h for n, h in enumerate(p for a in alerts for p in homes(a))}
    codes = {
        f"g{n}@example.org": (g.name, g.value)
        for n, g in enumerate(
            {g for a in alerts for i in a.infos[:1] for x in i.areas[:2] for g in x.geocodes[:2]}
        )
    }
    rows = [
        RegisterRow(
            mail, "en", "UTC", None, None, ("email",), (),
            (RegisterAddress("email", mail, True, True),),
            (RegisterPlace("home", *people[mail], 0.0, cell_of(*people[mail])),)
            if mail in people else (),
            (codes[mail],) if mail in codes else (), mail.encode(),
        )
        for mail in [*people, *codes]
    ]  # fmt: skip
    async with harness.db.begin() as connection:
        driver = await raw(connection)
        await driver.execute("truncate citizen cascade")
        await merge(driver, rows)
        awake = '[quiet]\nfrom = "03:00"\nto = "03:00"\n'
        await policies.set_live(connection, awake, by=internal("test"))
    reached_any = 0
    for a in alerts:
        expected = held(a, people) | named(a, codes)
        harness.channels["email"] = Recorder("email")
        try:
            submitted = await harness.submit(to_xml(a))
        except Conflict:
            # Two files of the corpus hold the same alert in two versions of its text.
            continue
        if submitted.state is AlertState.HELD:
            # It says Actual, and that it is a test.
            assert called_a_test(a), a.identifier
            continue
        await harness.worker().sweep()
        notified = [m.endpoint for m in harness.channels["email"].sent]
        assert sorted(notified) == sorted(expected), a.identifier
        reached_any += bool(notified)
        # Nobody remembers it: what the throttle spares those who know is another test's matter.
        harness.__post_init__()
        async with harness.db.begin() as connection:
            await connection.exec_driver_sql(emptying(with_dependents("alert", "delivery")))
    assert reached_any > len(alerts) / 2
