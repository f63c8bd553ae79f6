"""Every alert of the corpus of real senders' files, against the OASIS schema."""

from __future__ import annotations

import json
import random
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from corpora import MOST_BYTES
from hypothesis import HealthCheck, given, settings
from lxml import etree
from strategies_cap import alerts

from alerting.cap import CapError, check, from_json, read, to_json, to_xml
from alerting.cap.refusal import public_but
from alerting.domain.alert import Alert

#: Corpus files that must not be acted on, and why.
REFUSED = {
    "google_cap_library/no_optional_fields.cap": "says nothing",
    "google_cap_library/xee.atom": "DOCTYPE",
    "google_cap_library/xee.cap": "DOCTYPE",
    "quantumendec/shakeout.xml": "nobody can tell whether it is real",
    "wmo_capvalidator/5ccf23_invalid_schema.xml": "has no status",
    "wmo_capvalidator/e1dac4_invalid_schema.xml": "has no sender",
    "wmo_capvalidator/invalid_schema.xml": "without a CAP alert",
}


@cache
def oasis(corpus: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(corpus / "corpus/_schemas/CAP-v1.2.xsd"))


@cache
def rows(corpus: Path) -> list[dict[str, Any]]:
    lines = (corpus / "corpus/index.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def valid(row: dict[str, Any]) -> bool:
    return bool(row["cap"] == ["1.2"] and row["alerts"] == row["xsd_ok"] > 0)


def assert_strict(alert: Alert, schema: etree.XMLSchema) -> None:
    data = to_xml(alert)
    schema.assertValid(etree.fromstring(data))
    (again,) = read(data).alerts
    assert again == replace(alert, repairs=())
    assert again.remarks == tuple(filter(None, [public_but(alert)]))
    stored = from_json(json.loads(json.dumps(to_json(alert))))
    assert (stored, stored.remarks) == (alert, alert.remarks)
    check(alert)


def test_schema_valid_files_are_read_without_repair(corpus: Path) -> None:
    files = [row for row in rows(corpus) if valid(row) and row["bytes"] <= MOST_BYTES]
    assert len(files) > 100
    for row in files:
        reading = read((corpus / "corpus" / row["file"]).read_bytes())
        assert len(reading.alerts) == row["alerts"], row["file"]
        assert not reading.refused, row["file"]
        for alert in reading.alerts:
            assert alert.repairs == (), row["file"]
            assert_strict(alert, oasis(corpus))


def test_other_files_are_repaired_linked_or_refused(corpus: Path) -> None:
    refused = {}
    for row in rows(corpus):
        if valid(row):
            continue
        data = (corpus / "corpus" / row["file"]).read_bytes()
        try:
            reading = read(data)
        except CapError as e:
            refused[row["file"]] = str(e)
            continue
        for alert in reading.alerts:
            assert_strict(alert, oasis(corpus))
        if row["xsd_ok"] == 0 and reading.alerts:
            assert all(alert.repairs for alert in reading.alerts), row["file"]
    assert set(refused) == set(REFUSED)
    for file, why in REFUSED.items():
        assert why in refused[file]


def test_replayed_streams_are_read_without_repair(corpus: Path) -> None:
    draw = random.Random(7)
    archives = sorted((corpus / "streams").glob("*.zip"))
    assert archives
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if name.endswith(".xml")]
            for name in draw.sample(names, min(200, len(names))):
                (alert,) = read(opened.read(name)).alerts
                assert (alert.repairs, alert.remarks) == ((), ()), name
                assert_strict(alert, oasis(corpus))


def test_second_schema_implementation_agrees(corpus: Path) -> None:
    schema = xmlschema.XMLSchema(str(corpus / "corpus/_schemas/CAP-v1.2.xsd"))
    files = [row["file"] for row in rows(corpus) if row["alerts"] and row["bytes"] < 20_000]
    for file in random.Random(7).sample(files, 25):
        try:
            reading = read((corpus / "corpus" / file).read_bytes())
        except CapError:
            continue
        for alert in reading.alerts[:3]:
            schema.validate(to_xml(alert).decode())


@settings(suppress_health_check=list(HealthCheck))
@given(alerts())
def test_written_alerts_are_schema_valid(corpus: Path, alert: Alert) -> None:
    oasis(corpus).assertValid(etree.fromstring(to_xml(alert)))


@pytest.mark.parametrize("file", ["google_cap_library/xee.cap", "google_cap_library/xee.atom"])
def test_external_entities_are_refused(corpus: Path, file: str) -> None:
    with pytest.raises(CapError, match="declares a DOCTYPE"):
        read((corpus / "corpus" / file).read_bytes())
