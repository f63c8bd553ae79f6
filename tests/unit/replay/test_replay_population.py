"""Who lives through a replay, and which of them an alert concerns."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import numpy as np
import pytest
from corpora import real_files
from sizes import size
from traces import HERE, THERE, an_alert

from alerting.audience.zones import Zones
from alerting.domain.alert import Area, Circle, MsgType, Polygon
from alerting.errors import BadInput
from alerting.replay.concern import Concern
from alerting.replay.population import Citizen, Place, Population, from_register, generated
from alerting.replay.trace import read_trace

SQUARE = Polygon(((54.0, 2.0), (54.0, 3.0), (55.0, 3.0), (55.0, 2.0), (54.0, 2.0)))
DISC = Circle(10.0, 20.0, 5.0)


def test_one_citizen_per_geocode_and_bare_shape() -> None:
    alerts = [
        an_alert("a", areas=(Area("one", geocodes=(HERE, THERE)), Area("two", circles=(DISC,)))),
        an_alert("b", areas=(Area("three", polygons=(SQUARE,), geocodes=(HERE,)),)),
        an_alert("c", areas=(Area("four", polygons=(SQUARE,), circles=(DISC,)),)),
    ]
    people = generated(alerts).citizens
    assert [c.name for c in people[:2]] == ["district=D1", "district=D2"]
    assert people[2].places == (Place(10.0, 20.0),)
    (inside,) = people[3].places
    assert 54 < inside.lat < 55
    assert 2 < inside.lon < 3
    assert len(people) == 4


def test_generated_citizens_of_real_alerts_are_found(corpus: Path) -> None:
    """Whatever shape real senders draw, the one who stands for it is concerned by it."""
    alerts = [p.alert for p in read_trace(real_files(corpus)).played]
    # A cancel goes to those who were told, wherever it says it applies.
    alerts = [a for a in alerts if a.msg_type is not MsgType.CANCEL]
    population = generated(alerts)
    concern = Concern(population)
    met = set().union(*(concern.inside(a) for a in alerts))
    assert len(population.citizens) > size(200, 500)
    assert {c.name for no, c in enumerate(population.citizens) if no not in met} == set()


def test_index_equals_brute_force(corpus: Path) -> None:
    """Against every citizen asked one by one, without an index."""
    alerts = [p.alert for p in read_trace([corpus / "corpus" / "kde_fpas"]).played]
    people = generated(alerts).citizens
    concern = Concern(Population(people))
    for alert in alerts:
        if alert.msg_type is MsgType.CANCEL:
            continue
        zones = Zones(alert)
        geocodes = dict(zones.geocodes())
        expected = set()
        for no, c in enumerate(people):
            held = any(g in geocodes for g in c.geocodes)
            for p in c.places:
                spot = [np.array([v]) for v in (p.lat, p.lon, p.radius_m)]
                held = held or any(z.holds(*spot)[0] for z in zones.zones)
            if held:
                expected.add(no)
        assert concern.inside(alert) == expected, alert.identifier


def test_matching_info_area_and_places() -> None:
    area = Area("the square", polygons=(SQUARE,))
    alert = an_alert("a", areas=(Area("elsewhere", circles=(DISC,)), area))
    citizens = [
        Citizen("outside", places=(Place(50.0, 2.5),)),
        Citizen("near", places=(Place(53.9995, 2.5, 100.0),)),
        Citizen("both", places=(Place(0.0, 0.0), Place(54.5, 2.5)), geocodes=(HERE,)),
    ]
    near, both = Concern(Population(citizens)).of(alert, "event", partly=False)[0]
    assert (near.citizen, near.info_no, near.area_no, near.area) == (1, 0, 1, "the square")
    assert (both.citizen, both.places) == (2, 0b10)


def test_cancel_concerns_those_of_its_thread() -> None:
    first = an_alert("a")
    update = an_alert("b", at_s=60, to=(first,), areas=(Area("two", geocodes=(THERE,)),))
    cancel = an_alert("c", at_s=120, to=(update,), kind=MsgType.CANCEL, areas=())
    other = an_alert("d", at_s=180, kind=MsgType.CANCEL)
    citizens = [Citizen("1", geocodes=(HERE,)), Citizen("2", geocodes=(THERE,)), Citizen("3")]
    concern = Concern(Population(citizens))
    assert [c.area for c in concern.of(first, "event", partly=False)[0]] == ["district=D1"]
    assert [c.citizen for c in concern.of(update, "event", partly=False)[0]] == [1]
    assert [
        (c.citizen, c.area_no, c.area) for c in concern.of(cancel, "event", partly=False)[0]
    ] == [
        (0, -1, "district=D1"),
        (1, -1, "district=D2"),
    ]
    assert concern.of(other, "other", partly=False)[0] == []


def test_register_is_read_with_refusals(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(
        "ref,language,time_zone,quiet,lat,lon,radius_m,geocodes\n"
        "A,fr,Europe/Paris,23:00-06:30,54.5,2.5,100,district=D1\n"
        "B,,,,,,,\n"
        "C,en,Nowhere/At_All,,,,,\n"
        "A,,,,,,,\n"
    )
    found = from_register(path)
    assert found.citizens[0] == Citizen(
        "A",
        places=(Place(54.5, 2.5, 100.0),),
        geocodes=(HERE,),
        language="fr",
        time_zone="Europe/Paris",
        quiet=(time(23), time(6, 30)),
    )
    assert [c.name for c in found.citizens] == ["A", "B"]
    assert [r.partition(":")[0] for r in found.refused] == ["line 4", "line 5"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ref"),
        ("name\nA\n", "no column 'name'"),
        ("ref\n", "No line"),
        ("ref\n\n,\n", "No line"),
    ],
)
def test_unreadable_register_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        from_register(path)
