from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sqlalchemy import func, select

from alerting.audience import importing
from alerting.audience.importing import Report, import_file
from alerting.audience.seen import Seen
from alerting.errors import BadInput
from alerting.store.citizens import directory
from alerting.store.db import Database
from alerting.store.schema import address, audit, citizen, citizen_geocode, place

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


async def test_import_again_changes_nothing(db: Database, file: Path) -> None:
    first = await load(db, file)
    assert (first.added, first.changed, first.refused) == (2, 0, 0)
    assert [await count(db, t) for t in (citizen, address, place, citizen_geocode)] == [2, 3, 3, 1]
    again = await load(db, file)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)


async def test_import_of_changed_line_replaces_that_citizen_only(db: Database, file: Path) -> None:
    await load(db, file)
    file.write_text(HEADER + GOOD.replace("a@example.org", "new@example.org"), encoding="utf-8")
    report = await load(db, file)
    assert (report.changed, report.unchanged) == (1, 1)
    async with db.begin() as c:
        mails = set(await c.scalars(select(address.c.endpoint).where(address.c.channel == "email")))
    assert mails == {"new@example.org", "b@example.org"}


async def test_import_keeps_withdrawn_consent(db: Database, file: Path) -> None:
    await load(db, file)
    async with db.begin() as c:
        id_ = await c.scalar(select(address.c.id).where(address.c.channel == "sms"))
        await directory.leave(c, id_ or 0, actor="citizen")
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
        ("x,en,europe/paris,,,,,,,,,,", "zone 'europe/paris'. Write one such as Europe/Paris."),
        ("x,en,Paris,,,,,,,,,,", "there is no zone 'Paris'. Write one such as Europe/Paris."),
        ("x,en,localtime,,,,,,,,,,", "there is no zone 'localtime'"),
        ("x,en,Factory,,,,,,,,,,", "there is no zone 'Factory'"),
        ("x,en,posixrules,,,,,,,,,,", "there is no zone 'posixrules'"),
        ('x,en,,,,"54,52","2,49",,,,,,', "home: '54,52' is no number of degrees or metres. Write"),
        ("x,en,,,,1_0,2,,,,,,", "home: '1_0' is no number"),
        ("x,en,,,,nan,2,,,,,,", "home: 'nan' is no number"),
        ("x,en,,,,54.52N,2.49E,,,,,,", "home: '54.52N' is no number"),
        ("x,en,,,,1,,,,,,,", "home: '' is no number"),
        ("x,en,,,,,,,,SAME=6015,,,", "geocodes: a SAME code has six digits, not '6015'"),
        ("x\0y,en,,,,,,,,,,,", "ref: holds the invisible character U+0000"),
        ("x\u200b,en,,,,,,,,,,,", "ref: holds the invisible character U+200B (ZERO WIDTH SPACE)"),
        ("x,en,,,,,,,,,,a\0b@example.org,", "email: holds the invisible character U+0000"),
        ("x,en,,,,,,,,,,f\u200b@example.org,", "email: holds the invisible character U+200B"),
        ("x,en,,,,,,,,,,\ufefff@example.org,", "email: holds the invisible character U+FEFF"),
        ("x,en,,,,,,,,,,f@exam\u00adple.org,", "email: holds the invisible character U+00AD"),
        ("x,en,,,,,,,,,,mailto:m1@example.org,", "email: it begins with 'mailto:'. Write the"),
        ("x,en,,,,,,,,,,M Two <m2@example.org>,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,m3@example.org.,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,m4@example..org,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,m5@-example.org,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,m8@example.org;m8b@example.org,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,'m10@example.org',", "email: this is no mail address"),
        (f"x,en,,,,,,,,,,{'a' * 70}@example.org,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,root@localhost,", "email: this is no mail address"),
        ("x,en,,,,,,,,,+44 770O 900 123,,", "sms: a phone number holds no 'O'"),
        ("x,en,,,,,,,,,+44 7700 900ABC,,", "sms: a phone number holds no 'A'"),
        ("x,en,,,,,,,,,+39 3l2 345 6789,,", "sms: a phone number holds no 'l'"),
        ("x,en,,,,,,,,,+447700900123 ext. 5,,", "without an extension"),
        ("x,en,,,,,,,,,+447700900123 #5,,", "without an extension"),
        ("x,en,,,,,,,,,+447700900123;ext=5,,", "without an extension"),
        ("x,en,,,,,,,,,+49 30 123456/7,,", "sms: this is more than one phone number"),
        ("x,en,,,,,,,,,+49 30 123456 / 7 8,,", "sms: this is more than one phone number"),
        ("x,en,,,,,,,,,4.477E+11,,", "sms: '4.477E+11' is a number that a spreadsheet has rounded"),
        ("x,en,,,,,,,,,+4.47701E+11,,", "is a number that a spreadsheet has rounded"),
        ("x,en,,,,,,,,,+1 5550100,,", "sms: this phone number lacks its area code"),
        ("x,en,,,,,,,,,+441111,,", "sms: this phone number lacks its area code"),
        ("x,en,,,,,,,,,+49 30,,", "sms: this phone number lacks its area code"),
        ("x,en,,,,,,,,,+91 98765,,", "sms: this phone number has too few digits"),
        ("x,en,,,,,,,,,+4477009001234567,,", "sms: this phone number has too many digits"),
        ("x,en,,,,,,,,,+999123456,,", "sms: this is no phone number in international form"),
        ("x,en,,,,,,,,,00447700900609,,", "sms: this is no phone number in international form"),
        ("x,en,,25:00-07:00,,,,,,,,,", "quiet: '25:00-07:00' is no span"),
        ("x,en,,,fax,,,,,,,,", "channels: there is no channel 'fax'; use push, sms, email"),
        ("x,en,,,,95,2,,,,,,", "no place on earth; latitude comes first"),
        ("x,en,,,,1,2,-5,,,,,", "a radius is 0 to 100,000 metres"),
        ("x,en,,,,,,,work,,,,", "places: 'work' is not name:lat,lon"),
        ("x,en,,,,,,,,ES104,,,", "geocodes: 'ES104' is not name=value"),
        ("x,en,,,,,,,,,0770090,,", "sms: this is no phone number in international form"),
        ("x,en,,,,,,,,,'+447700900607,,", "sms: a phone number holds no"),
        ("x,en,,,,,,,,,,nobody,", "email: this is no mail address"),
        ("x,en,,,,,,,,,,,fax", "consent: there is no channel 'fax'"),
        ("x,en", "more or fewer fields than the header"),
        ("a,en,,,,,,,,,,,", "ref: 'a' is on line 2 and on line 4; the first was used"),
    ],
)
async def test_import_sets_bad_line_aside_with_reason(
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
        (
            b"ref;language;sms\nx;de;+447700900601\n",
            r"separated by semicolons: save it with commas",
        ),
        (b"ref\tsms\n", r"separated by tabs"),
        (b"Ref,Language,SMS\n", r"Write the columns in small letters"),
        (b"ref,language,sms,\n", r"one of them has no name\. It ends with a comma"),
        ("ref,sms\n".encode("utf-16"), r"is UTF-16 text, not UTF-8\. Save the file as UTF-8"),
        ("ref,sms\n".encode("utf-16-le"), r"is UTF-16 text"),
        (b"ref,sms\rx,+447700900622\r", r"end with CR alone"),
        (b"ref,caf\xe9\n", r"header line of .* is no UTF-8 text"),
    ],
)
async def test_import_of_bad_file_changes_nothing(
    db: Database, file: Path, content: bytes, message: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        await load(db, file)
    assert await count(db, citizen) == 0


async def test_import_of_missing_file_is_refused(db: Database, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv cannot be read: No such file"):
        await load(db, tmp_path / "none.csv")


async def test_import_of_wrong_encoding_refuses_only_its_line(db: Database, file: Path) -> None:
    file.write_bytes(
        b"ref,places,sms\n"
        b"c1,,+447700900603\n"
        b'c2,"caf\xe9:1.0,2.0",+447700900604\n'
        b'c3,"caf\xc3\xa9:1.0,2.0",+447700900605\n'
    )
    report = await load(db, file)
    assert (report.added, report.refused) == (2, 1)
    refused = Path(report.errors).read_text(encoding="utf-8")
    assert '3,"places: holds the byte 0xE9, which is no UTF-8 (é in Windows-1252).' in refused


async def test_import_skips_blank_rows_and_byte_order_marks(db: Database, file: Path) -> None:
    text = "\ufeff\ufeffref,sms\r\n\r\ni1,+447700900624\r\n,\r\n , \r\n"
    file.write_bytes(text.encode())
    report = await load(db, file)
    assert (report.added, report.refused, report.errors) == (1, 0, "")


@pytest.mark.parametrize(
    "written",
    [
        "\u202a+447700900618\u202c",
        "\u200b+44 7700 900618",
        "+44\u00a07700 900\u2011618",
        "\uff0b447700900618",
        "tel:+44-7700-900618",
        "+44 (0)7700 900618",
    ],
)
async def test_import_normalises_numbers(db: Database, file: Path, written: str) -> None:
    file.write_text(f"ref,sms\nf,{written}\n", encoding="utf-8")
    assert (await load(db, file)).added == 1
    async with db.begin() as c:
        assert await c.scalar(select(address.c.endpoint)) == "+447700900618"


async def test_import_detects_repeated_key_far_below(
    db: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    lines = [f"r{n},+4477009{n:05}" for n in range(100)]
    lines += ["r3,+447700900999", "new,+447700900998", "r99,+447700900997"]
    file.write_text("\n".join(["ref,sms", *lines]), encoding="utf-8")
    report = await load(db, file)
    assert (report.added, report.refused) == (101, 2)
    refused = Path(report.errors).read_text(encoding="utf-8")
    assert "102,ref: 'r3' is on line 5 and on line 102" in refused.replace('"', "")
    assert "104,ref: 'r99' is on line 101 and on line 104" in refused.replace('"', "")
    again = await load(db, file)
    assert (again.added, again.changed, again.unchanged, again.refused) == (0, 0, 101, 2)


def test_import_key_index_grows() -> None:
    seen = Seen()
    for start in range(0, 20_000, 700):
        keys = [f"k{n}" for n in range(start, start + 700)]
        assert seen.earlier([*keys, "k5"]) == ({"k5": 5} if start else {})
        seen.note(keys, range(start, start + 700))
    assert seen.earlier(["k19599", "no"]) == {"k19599": 19_599}


async def test_import_dry_run_changes_nothing(db: Database, file: Path) -> None:
    await load(db, file)
    file.write_text(
        HEADER + GOOD.replace("b,es", "b,fr") + "c,en,,,,,,,,,,c@example.org,\n,en,,,,,,,,,,,\n",
        encoding="utf-8",
    )
    errors = file.with_suffix(".errors.csv")
    for dry_run in (True, True, False):
        report = await import_file(db, file, errors=errors, dry_run=dry_run)
        assert (report.added, report.changed, report.unchanged, report.refused) == (1, 1, 1, 1)
    assert await count(db, citizen) == 3


async def test_import_is_recorded_in_the_audit(db: Database, file: Path) -> None:
    for _ in range(2):
        await import_file(db, file, errors=file.with_suffix(".errors.csv"), actor="person:jo")
    async with db.begin() as c:
        rows = (await c.execute(select(audit.c.actor, audit.c.action, audit.c.detail))).all()
    wanted = {"lines": [2, 3], "added": 2, "changed": 0}
    assert [tuple(r) for r in rows] == [("person:jo", "citizens.import", wanted)]


FIELD = {
    "a-excel-semicolon": "semicolons",
    "b-excel-unicode-text-utf16": "UTF-16",
    "c-cp1252-line-3": (3, [4]),
    "d-scientific": (0, [2, 3, 4, 5, 6, 7, 8, 9]),
    "e-nul": (2, [3]),
    "e2-nul-in-email": (2, [3]),
    "f-invisible": (5, [4, 5, 7, 8]),
    "g-local-only": (3, [2, 3, 4, 5, 6, 7, 8]),
    "h-cr-only": "CR alone",
    "i-blank-rows": (1, []),
    "k-decimal-comma": (2, [2, 3, 5, 6]),
    "m-mails": (3, [2, 3, 4, 5, 6, 9, 11, 12]),
    "o-same-leading-zero": (2, [2, 5]),
    "p-header-case": "small letters",
    "p2-header-blank-bom": (1, []),
    "p3-trailing-comma": "ends with a comma",
    "q-zones": (7, [3, 5, 7, 8, 9, 12, 13, 14, 16]),
    "r-quiet-consent": (0, [2, 3, 4, 5, 6, 7, 8]),
    "s-ref-number-forms": (4, []),
    "t-letter-o-for-zero": (0, [2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", FIELD)
async def test_import_of_field_registers(
    db: Database, tmp_path: Path, corpus: Path, name: str
) -> None:
    path = corpus / "field" / "register" / f"{name}.csv"
    wanted = FIELD[name]
    errors = tmp_path / "errors.csv"
    if isinstance(wanted, str):
        with pytest.raises(BadInput, match=wanted):
            await import_file(db, path, errors=errors)
        return
    report = await import_file(db, path, errors=errors)
    lines = []
    if report.errors:
        with errors.open(newline="", encoding="utf-8") as file:
            lines = [int(row["line"]) for row in csv.DictReader(file)]
    assert (report.added, lines) == wanted
