"""A storm trace: one day on which five agencies warn one region of the same few dangers.

Generated from a seed and fictional throughout: coast, agencies and citizens. It shows what causes
alert fatigue: every agency words and redraws the same danger, updates mostly change the wording,
translations are separate alerts. As files it is CAP, the register of its citizens, and the incident
of each message.
"""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerting.cap import to_xml
from alerting.domain.alert import (
    Alert,
    Area,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.errors import BadInput
from alerting.replay.storm_script import DANGERS, ENDINGS, NOTES, STEPS, Danger, Step
from alerting.replay.trace import TRUTH

#: The middle of the North Sea, where nobody lives.
_SOUTH, _WEST, _SIDE = 54.2, 2.0, 0.6
_GRID = 3
CODE = "example-district"


@dataclass(frozen=True, slots=True)
class Storm:
    """Alerts in the order they arrive, and the incident of each; None: unrelated to any other.

    Attributes:
        citizens: Rows of a register, ready for its CSV file.
    """

    alerts: list[Alert]
    incidents: list[str | None]
    citizens: list[dict[str, str]]


def generate(seed: int, *, citizens: int = 500) -> Storm:
    """Forty alerts within 24 hours and the citizens of their region, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable day, no secret
    start = datetime(2026, 3, 4, tzinfo=UTC) + timedelta(minutes=rng.randrange(24 * 60))
    town = _Town(rng)
    notified: dict[tuple[str, str], list[Alert]] = {}
    arrivals: list[tuple[datetime, Alert, str | None]] = []
    for no, step in enumerate(STEPS):
        danger = DANGERS[step.danger]
        sent = start + timedelta(hours=step.at_h, minutes=rng.randrange(8))
        thread = notified.setdefault((step.danger, step.thread or step.agency), [])
        alert = _alert(no, step, danger, sent, thread, town)
        thread.append(alert)
        # A late one was written in time and has waited in a queue since.
        arrives = sent + timedelta(hours=step.late_h)
        incident = None if danger.status is not Status.ACTUAL else step.danger
        arrivals.append((arrives, alert, incident))
    arrivals.sort(key=lambda a: a[0])
    return Storm(
        [alert for _, alert, _ in arrivals],
        [incident for _, _, incident in arrivals],
        [town.citizen(rng, no) for no in range(citizens)],
    )


def _alert(
    no: int, step: Step, danger: Danger, sent: datetime, thread: list[Alert], town: _Town
) -> Alert:
    if not thread:
        kind = MsgType.ALERT
    else:
        kind = MsgType.CANCEL if step.change == "cancel" else MsgType.UPDATE
    expires = sent + timedelta(hours=1 if step.ends else danger.lasts_h)
    infos = tuple(
        _info(no, step, danger, language, sent, expires, town.area(step, danger))
        for language in step.languages
    )
    return Alert(
        identifier=f"storm-{no:02}-{step.danger}",
        sender=f"{step.agency}@example.org",
        sent=sent,
        status=danger.status,
        msg_type=kind,
        scope=Scope.PUBLIC,
        note="Exercise Windward" if danger.status is Status.EXERCISE else None,
        references=tuple(a.triple for a in thread),
        infos=infos,
    )


def _info(
    no: int,
    step: Step,
    danger: Danger,
    language: str,
    sent: datetime,
    expires: datetime,
    area: Area,
) -> Info:
    text = danger.texts[language]
    headline = ENDINGS[language].format(event=text.event) if step.ends else text.event
    note = NOTES[language][no % len(NOTES[language])]
    # Each agency words the same danger in its own way.
    description = text.voices[step.agency].format(place=area.area_desc)
    return Info(
        language=language,
        categories=(danger.category,),
        event=text.event,
        response_types=(ResponseType.ALL_CLEAR,) if step.ends else step.responses,
        urgency=Urgency.PAST if step.ends else step.urgency,
        severity=Severity.MINOR if step.ends else step.severity,
        certainty=Certainty.OBSERVED,
        effective=sent,
        expires=expires,
        sender_name=step.agency.title(),
        headline=headline,
        description=headline if step.ends else f"{description} {note}",
        instruction=None if step.ends else text.instructions[step.advice],
        areas=(area,),
    )


class _Town:
    """The region: a square of districts, a valley through it, a plant in it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._south = _SOUTH + rng.uniform(-0.1, 0.1)
        self._west = _WEST + rng.uniform(-0.1, 0.1)
        self._valley = rng.uniform(0.25, 0.45)
        self._plant = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)
        self._district = rng.randrange(_GRID * _GRID)

    def area(self, step: Step, danger: Danger) -> Area:
        """The danger's area as this agency draws it: nearly the same, never exactly."""
        jitter = self._jitter(step.agency)
        if danger.place == "region":
            return Area("Windward Coast", polygons=(self._box(0, 0, 1, 1, jitter),))
        if danger.place == "valley":
            width = 0.4 * step.size
            ring = self._box(self._valley - width / 2, 0, self._valley + width / 2, 1, jitter)
            return Area("Mill Valley", polygons=(ring,))
        if danger.place == "plant":
            lat, lon = self._at(*self._plant)
            circle = Circle(lat + jitter, lon + jitter, round(9.0 * step.size, 3))
            return Area("around the harbour works", circles=(circle,))
        code = NamedValue(CODE, f"D{self._district}")
        return Area(f"district {code.value}", geocodes=(code,))

    def citizen(self, rng: random.Random, no: int) -> dict[str, str]:
        """One row of the register; one in twelve lives outside the region."""
        x, y = rng.random(), rng.random()
        if no % 12 == 11:
            x += 2
        lat, lon = self._at(y, x)
        second = ""
        if no % 7 == 0:
            work = self._at(rng.random(), rng.random())
            second = f"work:{work[0]:.5f},{work[1]:.5f},50"
        district = int(y * _GRID) * _GRID + int(x * _GRID)
        return {
            "ref": f"storm-{no:04}",
            "language": rng.choices(("en", "fr", "nl"), (6, 3, 1))[0],
            "time_zone": rng.choices(("Europe/London", "Europe/Paris", "UTC"), (5, 3, 2))[0],
            "quiet": rng.choice(("22:00-07:00", "22:00-07:00", "23:30-06:00", "")),
            "lat": f"{lat:.5f}",
            "lon": f"{lon:.5f}",
            "radius_m": str(rng.choice((0, 100, 500))),
            "places": second,
            "geocodes": f"{CODE}=D{district}" if x < 1 else "",
        }

    def _jitter(self, agency: str) -> float:
        """The error of this agency's map in degrees, constant per agency."""
        return (sum(agency.encode()) % 7 - 3) * 0.0008

    def _at(self, y: float, x: float) -> tuple[float, float]:
        return self._south + y * _SIDE, self._west + x * _SIDE

    def _box(self, x1: float, y1: float, x2: float, y2: float, jitter: float) -> Polygon:
        (south, west), (north, east) = self._at(y1, x1), self._at(y2, x2)
        south, north, west, east = (round(v + jitter, 5) for v in (south, north, west, east))
        ring = ((south, west), (south, east), (north, east), (north, west), (south, west))
        return Polygon(ring)


CITIZENS = "citizens.csv"

#: The earliest date a zip can hold; the current time would make each zip different.
_DATE = (1980, 1, 1, 0, 0, 0)


def write(storm: Storm, target: Path) -> int:
    """Write the storm to a folder, or to a zip if `target` ends in .zip; always the same bytes.

    Returns the number of files.

    Raises:
        BadInput: For a folder that is not empty, so that no two storms are mixed, or when nothing
            can be written.
    """
    files = _files(storm)
    try:
        if target.suffix.lower() == ".zip":
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in files.items():
                    archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
        else:
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise BadInput(f"The folder {target} is not empty.", remedy="Name a new one.")
            for name, data in files.items():
                (target / name).write_bytes(data)
    except OSError as e:
        raise BadInput(
            f"{target} cannot be written: {e.strerror or e}.", remedy="Check the path."
        ) from e
    return len(files)


def _files(storm: Storm) -> dict[str, bytes]:
    files, truth = {}, []
    for no, (alert, incident) in enumerate(zip(storm.alerts, storm.incidents, strict=True)):
        name = f"{no:03}-{alert.identifier}.xml"
        files[name] = to_xml(alert)
        line = {"file": name, "identifier": alert.identifier, "incident": incident}
        truth.append(json.dumps(line) + "\n")
    files[TRUTH] = "".join(truth).encode()
    rows = io.StringIO(newline="")
    writer = csv.DictWriter(rows, list(storm.citizens[0]))
    writer.writeheader()
    writer.writerows(storm.citizens)
    files[CITIZENS] = rows.getvalue().encode()
    return files
