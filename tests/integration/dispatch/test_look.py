"""Areas that are hardly where they were meant wait for a second person, Extreme ones too."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from dispatch_harness import DispatchHarness

from alerting.audience.importing import import_file
from alerting.cap import read, to_xml
from alerting.dispatch.evaluation.look import mirrored
from alerting.dispatch.intake.submit import Submitted
from alerting.domain.alert import Alert, Area, Circle, NamedValue, Severity
from alerting.domain.alert_state import AlertState


def there(alert: Alert, area: Area, severity: Severity = Severity.EXTREME) -> Alert:
    infos = tuple(replace(i, areas=(area,), severity=severity) for i in alert.infos)
    return replace(alert, infos=infos)


async def say(harness: DispatchHarness, alert: Alert) -> Submitted:
    return await harness.submit(to_xml(alert))


async def test_swapped_coordinates_with_people_are_held(
    harness: DispatchHarness, flood: Alert
) -> None:
    swapped = mirrored(flood)
    assert swapped is not None
    held = await say(harness, swapped)
    assert held.state is AlertState.HELD
    (note,) = [n for n in held.notes if "second person" in n]
    assert "with latitude and longitude exchanged they hold " in note
    right = await say(harness, replace(flood, identifier="right"))
    assert right.state is AlertState.ACCEPTED


async def test_circle_in_metres_is_held_with_both_readings(
    harness: DispatchHarness, flood: Alert
) -> None:
    area = Area("Port Example", circles=(Circle(54.53, 2.5, 5000),))
    held = await say(harness, there(flood, area))
    assert held.state is AlertState.HELD
    (note,) = [n for n in held.notes if "second person" in n]
    assert re.search(r"a radius of 5,000 km and holds about \d{3} people; with that radius", note)
    assert re.search(r"metres it holds (about|fewer than) \d+ people\.", note)
    small = Area("Port Example", circles=(Circle(54.53, 2.5, 5),))
    sent = await say(harness, replace(there(flood, small), identifier="small"))
    assert sent.state is AlertState.ACCEPTED


async def test_area_without_people_is_noted_with_unknown_geocodes(
    harness: DispatchHarness, flood: Alert
) -> None:
    code = NamedValue("AGS", "09999")
    submitted = await say(harness, there(flood, Area("Nowhere", geocodes=(code,))))
    assert submitted.state is AlertState.ACCEPTED
    assert "Nobody has the geocode AGS=09999." in " ".join(submitted.notes)
    empty = Area("Sea", circles=(Circle(1.0, 1.0, 5),))
    submitted = await say(harness, replace(there(flood, empty), identifier="sea"))
    assert "No registered citizen is in its areas: it reaches nobody." in submitted.notes


async def test_end_of_danger_is_never_held_for_its_area(
    harness: DispatchHarness, flood: Alert
) -> None:
    notified = await say(harness, flood)
    await harness.due_now()
    await harness.worker().sweep()
    cancel = read(await harness.cancel_of(notified.alert_id)).alerts[0]
    swapped = mirrored(cancel)
    assert swapped is not None
    assert (await harness.submit(to_xml(swapped), now=False)).state is AlertState.ACCEPTED


@pytest.mark.parametrize("name", ["lon-lat-delhi", "circle-in-metres"])
async def test_suspicious_area_from_a_person_is_held(
    harness: DispatchHarness, corpus: Path, tmp_path: Path, name: str
) -> None:
    folder = corpus / "field/polygons"
    await import_file(harness.db, folder / "reg.csv", errors=tmp_path / "errors.csv")
    held = await harness.submit((folder / f"{name}.xml").read_bytes())
    assert held.state is AlertState.HELD


def test_mirrored_area_beyond_a_pole_is_none(flood: Alert) -> None:
    assert mirrored(there(flood, Area("x", circles=(Circle(10, 120, 5),)))) is None
    assert mirrored(there(flood, Area("x", geocodes=(NamedValue("a", "1"),)))) is None
