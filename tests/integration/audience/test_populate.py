"""Synthetic citizens by the million, here by the thousand."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner
from shapely import box

from alerting.audience import populate as populating
from alerting.audience.h3_cover import cell_of
from alerting.audience.populate import people
from alerting.cli.citizen_commands import citizens
from alerting.errors import AlertingError

Run = Callable[..., tuple[int, str]]

AREA = box(2.0, 54.0, 3.0, 55.0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(populating, "BATCH", 700)

    def typed(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(citizens, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return typed


def test_population_is_stored_and_synthetic(run: Run, database_url: str) -> None:
    code, out = run("generate", "2000", "--seed", "7", "--json")
    assert code == 0
    assert json.loads(out).items() >= {"citizens": 2000, "first": 0}.items()
    with psycopg.connect(database_url) as db:
        refs = {ref for (ref,) in db.execute("select ref from citizen")}
        addresses = db.execute("select channel, endpoint from address").fetchall()
        places = db.execute("select lat, lon, cell, no from place").fetchall()
        lonely = db.execute(
            "select count(*) from citizen c where not exists"
            " (select from place p where p.citizen_id = c.id and p.no = 0) or"
            " cardinality(c.channels) <> (select count(*) from address where citizen_id = c.id)"
        ).fetchone()
    assert refs == {f"synthetic-{n}" for n in range(2000)}
    assert lonely == (0,)
    assert all(cell == cell_of(lat, lon) for lat, lon, cell, _ in places)
    assert 0.1 < sum(no == 1 for *_, no in places) / 2000 < 0.2
    for channel, endpoint in addresses:
        start = {"sms": "+999", "email": "c", "push": "https://push.example.org/"}[channel]
        assert endpoint.startswith(start)
        assert channel != "email" or endpoint.endswith("@example.org")


def test_population_grows_from_the_last(run: Run) -> None:
    run("generate", "30", "--json")
    code, out = run("generate", "20", "--json")
    assert (code, json.loads(out)["first"]) == (0, 30)
    assert run("stats")[1].startswith("50 citizens")
    assert run("generate", "5")[1].startswith("5 synthetic citizens were added in ")


def test_population_of_real_people_is_left_alone(run: Run, database_url: str) -> None:
    with psycopg.connect(database_url) as db:
        db.execute("insert into citizen (ref, channels) values ('register-1', '{sms}')")
    code, said = run("generate", "10")
    assert code == 2
    assert "citizens who are not synthetic (1)" in said
    assert "DATABASE_URL" in said
    assert run("stats")[1].startswith("1 citizens")


def test_population_area_without_land_is_refused(run: Run) -> None:
    code, said = run("generate", "10", "--area", "no-such-file.xml")
    assert (code, "cannot be read" in said) == (2, True)


def test_population_lives_in_towns_of_unequal_size() -> None:
    batches = list(people(20_000, AREA, seed=3))
    lats = np.concatenate([b.lats for b in batches])
    lons = np.concatenate([b.lons for b in batches])
    squares = np.histogram2d(lats, lons, bins=20, range=((53.75, 55.25), (1.75, 3.25)))[0]
    assert squares.max() > 5 * squares.mean()
    inside = (lats >= 54) & (lats <= 55) & (lons >= 2) & (lons <= 3)
    assert 0.6 < inside.mean() < 0.95


def test_population_is_reproducible_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populating, "BATCH", 100)

    def drawn(seed: int, first: int = 0) -> list[object]:
        return [
            (b.first, b.languages, b.channels, b.owners.tolist(), b.lats.tolist(), b.lons.tolist())
            for b in people(250, AREA, seed=seed, first=first)
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1)[0] != drawn(1, first=250)[0]
