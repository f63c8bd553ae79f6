"""Who is found by a geocode that is spelt otherwise, or holds theirs."""

from __future__ import annotations

from pathlib import Path

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size
from test_find import alert, found, info, populate, refs, row

from alerting.audience.importing import import_file
from alerting.cap import read
from alerting.domain.alert import Area, NamedValue
from alerting.domain.geocode import key_of
from alerting.store.db import Database, raw

COUNTY = (("SAME", "048001"),)


async def who(db: Database, name: str, value: str) -> set[str]:
    area = Area("there", geocodes=(NamedValue(name, value),))
    return await refs(db, alert(info(area)))


async def test_state_holds_counties_and_nation_holds_states(db: Database) -> None:
    await populate(
        db,
        row("county", geocodes=COUNTY),
        row("lost zero", geocodes=(("same", "6015"),)),
        row("both", geocodes=(("FIPS6", "048001"), ("SAME", "048001"), ("SAME", "148001"))),
        row("zone", geocodes=(("UGC", "TXZ211"),)),
        row("neighbour", geocodes=(("SAME", "049001"),)),
        row("place", (1.5, 1.5, 0.0)),
    )
    assert await who(db, "SAME", "048000") == {"county", "both"}
    assert await who(db, "SAME", "000000") == {"county", "both", "lost zero", "neighbour"}
    assert await who(db, "fips6", "48001") == {"county", "both"}
    assert await who(db, "SAME", "006015, 049001") == {"lost zero", "neighbour"}
    assert await who(db, "UGC", "TXC000") == {"zone"}


async def test_several_spellings_count_once_in_any_batch(db: Database) -> None:
    rows = [
        row(f"c{n:03}", geocodes=(("SAME", f"048{n:03}"), ("same", f"48{n:03}"), ("UGC", "TXC001")))
        for n in range(1, 60)
    ]
    await populate(db, *rows)
    area = Area("there", geocodes=(NamedValue("SAME", "048000"), NamedValue("UGC", "TXC000")))
    for batch in (1, 7, 1000):
        met = [r.citizen_id for r in await found(db, alert(info(area)), batch=batch)]
        assert len(met) == len(set(met)) == 59


async def test_field_documents_find_residents(db: Database, corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "field/geocodes"
    await import_file(db, folder / "reg.csv", errors=tmp_path / "errors.csv")
    by_state = {"exact": {"4A", "4B"}, "ugc-state": {"4B"}, "emma-lower": {"4C"}}
    documents = sorted(folder.glob("*.xml"))
    assert len(documents) >= 11
    for file in documents:
        found = await refs(db, read(file.read_bytes()).alerts[0])
        assert found == by_state.get(file.stem, {"4A", "4B"}), file.stem


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    | st.sampled_from(["SAME", "fips6", "E M-M_A", "UGC"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    | st.from_regex(r"[0-9]{1,7}", fullmatch=True),
)
@settings(max_examples=size(80, 1_000), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_makes_the_same_keys(database_url: str, name: str, value: str) -> None:
    with psycopg.connect(database_url) as driver:
        row = driver.execute("select geocode_key(%s, %s)", (name, value)).fetchone()
    assert row == (key_of(NamedValue(name, value)),)


async def test_state_is_found_by_the_index(db: Database) -> None:
    await populate(db, *(row(f"c{n}", geocodes=(("SAME", f"{n:06}"),)) for n in range(2000)))
    async with db.begin() as c:
        driver = await raw(c)
        await driver.execute("analyze citizen_geocode")
        rows = await (
            await driver.execute(
                """explain select h.citizen_id from unnest(array['SAME 01'], array['SAME 01~'])
                   as z(low, high) cross join lateral (select citizen_id from citizen_geocode h
                   where geocode_key(h.name, h.value) collate "C" between z.low and z.high
                   order by geocode_key(h.name, h.value) collate "C", citizen_id) as h"""
            )
        ).fetchall()
    assert any("ix_citizen_geocode_key" in line for (line,) in rows)
