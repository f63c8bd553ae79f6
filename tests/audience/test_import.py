from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from alerting.audience.importing import Report, import_file
from alerting.errors import BadInput
from alerting.store import citizens as directory
from alerting.store.db import Database
from alerting.store.schema import address, citizen, citizen_geocode, place

HEADER = (
    "ref,language,time_zone,quiet,channels,lat,lon,radius_m,places,geocodes,sms,email,consent\n"
)
GOOD = (
    'a,en,Europe/London,22:00-07:00,sms email,54.5,2.5,100,"work:54.6,2.6",'
    "EMMA_ID=ES104,+447700900001,a@example.org,\n"
    "b,es,,,,54.51,2.51,,,,,b@example.org,\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "register.csv"
    path.write_text(HEADER + GOOD, encoding="utf-8")
    return path


async def load(db: Database, path: Path) -> Report:
    return await import_file(db, path, errors=path.with_suffix(".errors.csv"))


async def count(db: Database, table: object) -> int:
    async with db.begin() as c:
        return await c.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


async def test_a_second_import_changes_nothing(db: Database, file: Path) -> None:
    first = await load(db, file)
    assert (first.added, first.changed, first.refused) == (2, 0, 0)
    assert [await count(db, t) for t in (citizen, address, place, citizen_geocode)] == [2, 3, 3, 1]
    again = await load(db, file)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)


async def test_a_changed_line_replaces_that_citizen_only(db: Database, file: Path) -> None:
    await load(db, file)
    file.write_text(HEADER + GOOD.replace("a@example.org", "new@example.org"), encoding="utf-8")
    report = await load(db, file)
    assert (report.changed, report.unchanged) == (1, 1)
    async with db.begin() as c:
        mails = set(await c.scalars(select(address.c.endpoint).where(address.c.channel == "email")))
    assert mails == {"new@example.org", "b@example.org"}


async def test_consent_a_citizen_withdrew_survives_the_register(db: Database, file: Path) -> None:
    await load(db, file)
    async with db.begin() as c:
        id_ = await c.scalar(select(address.c.id).where(address.c.channel == "sms"))
        await directory.set_consent(c, id_ or 0, False, "citizen")
    file.write_text(HEADER + GOOD.replace("a,en", "a,fr"), encoding="utf-8")
    assert (await load(db, file)).changed == 1
    async with db.begin() as c:
        assert await c.scalar(select(address.c.consent).where(address.c.id == id_)) is False


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",en,,,,,,,,,,,", "ref: is empty"),
        ("x,e?,,,,,,,,,,,", "language: 'e?' is no language tag"),
        ("x,en,Mars/Base,,,,,,,,,,", "time_zone: there is no zone 'Mars/Base'"),
        ("x,en,,25:00-07:00,,,,,,,,,", "quiet: '25:00-07:00' is no span"),
        ("x,en,,,fax,,,,,,,,", "channels: there is no channel 'fax'; use push, sms, email"),
        ("x,en,,,,95,2,,,,,,", "no place on earth; latitude comes first"),
        ("x,en,,,,1,2,-5,,,,,", "a radius is 0 to 100,000 metres"),
        ("x,en,,,,,,,work,,,,", "places: 'work' is not name:lat,lon"),
        ("x,en,,,,,,,,ES104,,,", "geocodes: 'ES104' is not name=value"),
        ("x,en,,,,,,,,,0770090,,", "sms: this is no phone number in international form"),
        ("x,en,,,,,,,,,,nobody,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,,fax", "consent: there is no channel 'fax'"),
        ("x,en", "more or fewer fields than the header"),
        ("a,en,,,,,,,,,,,", "ref: 'a' stands on an earlier line too"),
    ],
)
async def test_a_bad_line_is_set_aside_with_its_number_and_reason(
    db: Database, file: Path, line: str, reason: str
) -> None:
    file.write_text(HEADER + GOOD + line + "\n", encoding="utf-8")
    report = await load(db, file)
    assert (report.added, report.refused) == (2, 1)
    refused = Path(report.errors).read_text(encoding="utf-8")
    assert f"4,{reason}" in refused.replace('"', "") or reason in refused
    assert "\n4," in refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty\. The first line names the columns"),
        (b"name,phone\n", r"'ref' is missing; there is no column 'name'"),
        (b"ref,ref\n", r"'ref' comes twice"),
        (b"ref,email\nx,\xff\n", r"line 2 is not UTF-8"),
    ],
)
async def test_a_file_that_is_none_changes_nothing(
    db: Database, file: Path, content: bytes, message: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        await load(db, file)
    assert await count(db, citizen) == 0


async def test_a_missing_file_says_so(db: Database, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv cannot be read: No such file"):
        await load(db, tmp_path / "none.csv")
