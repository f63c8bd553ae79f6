from __future__ import annotations

import base64
import hmac
import re
from uuid import UUID

import pytest
from served import Served
from sqlalchemy import func, insert, select, update

from alerting.citizen.page_cache import PageCache
from alerting.citizen.words import table
from alerting.domain.links import CODE, Links, Purpose
from alerting.drills import rosters
from alerting.store.admin.secrets import get_or_create
from alerting.store.citizens import roster_rows as store
from alerting.store.schema import address, citizen
from alerting.store.schema import alert as alert_table


async def submit(served: Served, body: bytes) -> str:
    answer = await served.http.post(
        "/v1/alerts?now=true",
        content=body,
        headers={**served.auth, "Content-Type": "application/cap+xml"},
    )
    return str(answer.json()["id"])


async def an_address(served: Served) -> int:
    async with served.runtime.db.begin() as c:
        who = await c.scalar(
            insert(citizen).values(ref="a", channels=["email"]).returning(citizen.c.id)
        )
        return (
            await c.scalar(
                insert(address)
                .values(citizen_id=who, channel="email", endpoint="a@example.org")
                .returning(address.c.id)
            )
            or 0
        )


async def consent(served: Served, address_id: int) -> bool | None:
    async with served.runtime.db.begin() as c:
        return await c.scalar(select(address.c.consent).where(address.c.id == address_id))


async def test_page_is_in_the_reader_language(served: Served, alert_xml: bytes) -> None:
    url = f"/a/{await submit(served, alert_xml)}"
    english = await served.http.get(url)
    assert '<html lang="en-GB" dir="ltr">' in english.text
    assert "Go uphill on foot" in english.text
    spanish = await served.http.get(url, headers={"Accept-Language": "es-MX,en;q=0.5"})
    assert "Suba a pie" in spanish.text
    assert "Suba a pie" in (await served.http.get(url + "?lang=es")).text
    assert "script" not in english.text
    assert "default-src 'none'" in english.headers["content-security-policy"]


async def code_of(served: Served, id_: str) -> str:
    async with served.runtime.db.begin() as c:
        return str(await c.scalar(select(alert_table.c.code).where(alert_table.c.id == UUID(id_))))


async def test_short_link_shows_the_same_page(served: Served, alert_xml: bytes) -> None:
    id_ = await submit(served, alert_xml)
    code = await code_of(served, id_)
    assert re.fullmatch(CODE, code)
    short = await served.http.get(f"/{code}?lang=es")
    assert short.status_code == 200
    assert short.text.replace(f"/{code}", f"/a/{id_}") == (
        (await served.http.get(f"/a/{id_}?lang=es")).text
    )
    other = code[:-1] + ("A" if code[-1] != "A" else "B")
    assert "Not found" in (await served.http.get(f"/{other}")).text
    for no_code in (code[:-1], f"{code}x", "nocolour", code.replace(code[0], "0")):
        answer = await served.http.get(f"/{no_code}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("state", ["held", "recorded"])
async def test_short_link_of_unissued_alert_is_404(
    served: Served, alert_xml: bytes, state: str
) -> None:
    id_ = await submit(served, alert_xml)
    async with served.runtime.db.begin() as c:
        await c.execute(
            update(alert_table).where(alert_table.c.id == UUID(id_)).values(state=state)
        )
    assert (await served.http.get(f"/{await code_of(served, id_)}")).status_code == 404


async def test_short_link_of_drill_is_not_cached(served: Served, alert_xml: bytes) -> None:
    await an_address(served)
    await enrol(served, "a")
    id_ = await submit(served, drill_of(alert_xml))
    answer = await served.http.get(f"/{await code_of(served, id_)}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.text.replace(f"/{await code_of(served, id_)}", "") == (
        (await own_page(served, id_, "")).replace(f"/x/{served.runtime.links.page(UUID(id_))}", "")
    )


async def test_times_have_words_and_sender_offset(served: Served, alert_xml: bytes) -> None:
    page = (await served.http.get(f"/a/{await submit(served, alert_xml)}?lang=en")).text
    assert re.search(r">Valid until \w+, \d+ \w+ \d{4}, \d\d:\d\d \(UTC\+1\)</time>", page)
    arabic = (await served.http.get(f"/a/{await submit(served, alert_xml)}?lang=ar")).text
    assert '<p class="meta" lang="ar" dir="rtl"><time' in arabic
    assert "صالح حتى: " in arabic


async def own_page(served: Served, id_: str, lang: str = "en") -> str:
    answer = await served.http.get(f"/x/{served.runtime.links.page(UUID(id_))}?lang={lang}")
    assert answer.status_code == 200
    assert answer.headers["x-robots-tag"].startswith("noindex")
    assert answer.headers["cache-control"] == "private, no-store"
    return answer.text


async def enrol(served: Served, *refs: str) -> None:
    async with served.runtime.db.begin() as c:
        await rosters.create(c, "lighthouse", by="test")
        if refs:
            await rosters.add(c, "lighthouse", refs, source="asked", by="test")


async def test_drill_is_visible_only_by_own_link(served: Served, alert_xml: bytes) -> None:
    await an_address(served)
    await enrol(served, "a")
    id_ = await submit(served, drill_of(alert_xml))
    assert (await served.http.get(f"/a/{id_}")).status_code == 404
    page = await own_page(served, id_)
    body = page[page.index("<main>") :]
    assert page.index("<title>EXERCISE (no action needed): ") > 0
    assert body.count("There is no real danger. You do not need to do anything.") == 2
    assert body.index("EXERCISE") < body.index("<h1>")
    assert body.rindex("EXERCISE") > body.rindex("</article>")
    assert "SIMULACRO" in await own_page(served, id_, "es")


async def test_own_page_link_cannot_be_guessed(served: Served, alert_xml: bytes) -> None:
    id_ = await submit(served, alert_xml)
    token = served.runtime.links.page(UUID(id_))
    other = Links(b"another key" * 3).page(UUID(id_))
    leave = served.runtime.links.token(await an_address(served))
    for bad in (id_, token[:-1] + ("A" if token[-1] != "A" else "B"), token + "=", other, leave):
        assert (await served.http.get(f"/x/{bad}")).status_code == 404, bad


async def test_page_of_closed_group_alert_says_so(served: Served, alert_xml: bytes) -> None:
    closed = alert_xml.replace(
        b"<scope>Public</scope>",
        b"<scope>Restricted</scope><restriction>Crews</restriction><addresses>crews</addresses>",
    )
    id_ = await submit(served, closed)
    assert (await served.http.get(f"/a/{id_}")).status_code == 404
    page = await own_page(served, id_)
    assert "for a closed group of people" in page
    assert 'class="drill"' not in page


@pytest.mark.parametrize(
    ("state", "planned", "public", "words"),
    [
        ("held", False, False, "has not been released"),
        ("recorded", False, False, "kept for the record"),
        ("expired", False, False, "has not been released"),
        ("cancelled", False, False, "has not been released"),
        ("expired", True, True, "This alert has ended"),
        ("cancelled", True, True, "has been cancelled"),
        ("accepted", False, True, ""),
        ("completed", True, True, ""),
    ],
)
async def test_unissued_alert_is_not_public(
    served: Served, alert_xml: bytes, state: str, planned: bool, public: bool, words: str
) -> None:
    """Held until it ran out, or cancelled before anybody was told: nobody was to see it."""
    id_ = await submit(served, alert_xml)
    async with served.runtime.db.begin() as c:
        await c.execute(
            update(alert_table)
            .where(alert_table.c.id == UUID(id_))
            .values(state=state, planned_at=func.now() if planned else None)
        )
    answer = await served.http.get(f"/a/{id_}")
    assert answer.status_code == (200 if public else 404)
    assert words in await own_page(served, id_)
    if public:
        assert words in answer.text


async def test_leaving_drills_keeps_real_alerts(served: Served) -> None:
    id_ = await an_address(served)
    await enrol(served, "a")
    url = f"/u/{served.runtime.links.token(id_, Purpose.DRILL)}"
    asked = await served.http.get(url)
    assert (
        "Warnings of real dangers will reach you as before. Nothing has changed yet" in asked.text
    )
    assert await taking_part(served) == 1
    left = await served.http.post(url, data={"List-Unsubscribe": "One-Click"})
    assert "You take part in no more exercises" in left.text
    assert await taking_part(served) == 0
    assert await consent(served, id_) is True
    assert (await served.http.post(url)).status_code == 200


async def test_leaving_by_old_link_works(served: Served) -> None:
    """A mail lives for years: its link works as it was spelt before links had purposes."""
    id_ = await an_address(served)
    async with served.runtime.db.begin() as c:
        key = await get_or_create(c, "link", bytes)
    name = id_.to_bytes(8, "big")
    tag = hmac.digest(key, b"address" + name, "sha256")[:12]
    old = base64.urlsafe_b64encode(name + tag).rstrip(b"=").decode()
    assert old == served.runtime.links.token(id_)
    await served.http.post(f"/u/{old}")
    assert await consent(served, id_) is False


async def taking_part(served: Served) -> int:
    async with served.runtime.db.begin() as c:
        return await store.count_members(c, ["lighthouse"])


def drill_of(alert_xml: bytes) -> bytes:
    return alert_xml.replace(b">Actual<", b">Exercise<").replace(
        b"</scope>", b"</scope><addresses>lighthouse</addresses>"
    )


async def test_drill_without_roster_is_refused(served: Served, alert_xml: bytes) -> None:
    nobody = alert_xml.replace(b">Actual<", b">Test<")
    unknown = drill_of(alert_xml).replace(b"lighthouse", b'lighthouse "night shift"')
    assert "There is no roster lighthouse, night shift. There is none" in (
        await refusal(served, unknown)
    )
    await enrol(served)
    assert "it names none. Rosters are: lighthouse." in await refusal(served, nobody)
    assert "There is no roster night shift. Rosters are: lighthouse." in (
        await refusal(served, unknown)
    )


async def refusal(served: Served, body: bytes) -> str:
    answer = await served.http.post(
        "/v1/alerts?now=true",
        content=body,
        headers={**served.auth, "Content-Type": "application/cap+xml"},
    )
    assert answer.status_code == 422
    return str(answer.json()["detail"])


async def test_markup_in_alert_stays_text(served: Served, alert_xml: bytes) -> None:
    evil = alert_xml.replace(b"Go uphill", b"&lt;script&gt;alert(1)&lt;/script&gt; Go uphill")
    page = (await served.http.get(f"/a/{await submit(served, evil)}")).text
    assert "<script>" not in page


async def test_leaving_takes_one_post_and_no_get(served: Served) -> None:
    id_ = await an_address(served)
    url = f"/u/{served.runtime.links.token(id_)}"
    asked = await served.http.get(url)
    assert "Nothing has changed yet" in asked.text
    assert await consent(served, id_) is True
    left = await served.http.post(url, data={"List-Unsubscribe": "One-Click"})
    assert left.status_code == 200
    assert "You will get no more alerts at <bdi>a…@example.org</bdi>." in left.text
    assert "set-cookie" not in left.headers
    assert await consent(served, id_) is False


async def test_leaving_is_said_in_the_readers_language(served: Served) -> None:
    url = f"/u/{served.runtime.links.token(await an_address(served))}"
    arabic = {"Accept-Language": "ar-EG,en;q=0.5"}
    said = [
        (await served.http.request(method, url + more, headers=arabic)).text
        for method, more in (("GET", ""), ("POST", ""), ("GET", ""), ("POST", "/back"))
    ]
    for page, words in zip(said, ("ask", "left", "left", "back"), strict=True):
        assert '<html lang="ar" dir="rtl">' in page
        assert getattr(table()["ar"], words).split("{address}")[0] in page
    assert "<bdi>a…@example.org</bdi>" in said[1]
    nobody = await served.http.get("/u/nobody?lang=ja")
    assert f"<h1>{table()['ja'].not_found}</h1>" in nobody.text
    other = await served.http.get(url, headers={b"Accept-Language": b"\xff;;,"})
    assert "Stop these messages?" in other.text


async def test_the_end_of_an_alert_is_said_in_the_readers_language(
    served: Served, alert_xml: bytes
) -> None:
    id_ = await submit(served, alert_xml)
    for state in ("cancelled", "superseded"):
        async with served.runtime.db.begin() as c:
            await c.execute(update(alert_table).values(planned_at=func.now(), state=state))
        served.app.state.page_cache = PageCache()
        page = (await served.http.get(f"/a/{id_}?lang=ar")).text
        banner = getattr(table()["ar"], state)
        assert f'<p class="banner" role="status" lang="ar" dir="rtl">{banner}</p>' in page


async def test_leaving_is_undone_by_the_same_link(served: Served) -> None:
    """A forwarded mail must not silence its owner for good."""
    id_ = await an_address(served)
    url = f"/u/{served.runtime.links.token(id_)}"
    await served.http.post(url, data={"List-Unsubscribe": "One-Click"})
    for _ in range(3):
        page = await served.http.get(url)
        assert f'action="{url}/back"' in page.text
        assert "a…@example.org" in page.text
        assert "a@example.org" not in page.text
        assert page.headers["cache-control"] == "private, no-store"
        assert await consent(served, id_) is False
    assert (await served.http.get(f"{url}/back")).status_code == 405
    back = await served.http.post(f"{url}/back")
    assert back.status_code == 200
    assert "You will get alerts at <bdi>a…@example.org</bdi> again." in back.text
    assert await consent(served, id_) is True
    assert "Stop these messages?" in (await served.http.get(url)).text


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ({"consent": False}, "says that you have not agreed"),
        ({"verified": False}, "nobody has checked that it is yours"),
        ({"suspended_reason": "dead-address"}, "could not be delivered"),
    ],
)
async def test_return_promises_nothing_to_unused_address(
    served: Served, against: dict[str, object], said: str
) -> None:
    id_ = await an_address(served)
    async with served.runtime.db.begin() as c:
        await c.execute(address.update().where(address.c.id == id_).values(**against))
    url = f"/u/{served.runtime.links.token(id_)}"
    await served.http.post(url)
    back = await served.http.post(f"{url}/back")
    assert back.status_code == 200
    assert "You will get alerts" not in back.text
    assert "You still get no alerts at <bdi>a…@example.org</bdi>." in back.text
    assert said in back.text
    assert back.text.count("<li>") == 1
    assert "Ask the office where you registered" in back.text


async def test_leaving_applies_to_every_row_of_the_address(served: Served) -> None:
    id_ = await an_address(served)
    async with served.runtime.db.begin() as c:
        who = await c.scalar(
            insert(citizen).values(ref="b", channels=["email"]).returning(citizen.c.id)
        )
        values = {"citizen_id": who, "channel": "email", "endpoint": "A@Example.org"}
        other = await c.scalar(
            insert(address).values(**values, folded="a@example.org").returning(address.c.id)
        )
    url = f"/u/{served.runtime.links.token(id_)}"
    await served.http.post(url)
    assert await consent(served, other or 0) is False
    await served.http.post(f"/u/{served.runtime.links.token(other or 0)}/back")
    assert await consent(served, id_) is True


async def test_drill_link_undoes_nothing(served: Served) -> None:
    id_ = await an_address(served)
    await served.http.post(f"/u/{served.runtime.links.token(id_)}")
    drill = f"/u/{served.runtime.links.token(id_, Purpose.DRILL)}"
    assert (await served.http.post(f"{drill}/back")).status_code == 404
    assert (await served.http.post("/u/nobody/back")).status_code == 404
    assert await consent(served, id_) is False
    assert "Stop exercises?" in (await served.http.get(drill)).text


async def test_forged_token_changes_nothing(served: Served) -> None:
    id_ = await an_address(served)
    token = served.runtime.links.token(id_)
    for bad in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", "é"):
        for method in ("GET", "POST"):
            assert (await served.http.request(method, f"/u/{bad}")).status_code == 404
    assert await consent(served, id_) is True


async def test_public_page_is_cached_for_a_second(served: Served, alert_xml: bytes) -> None:
    now = [0.0]
    served.app.state.page_cache = PageCache(now_s=lambda: now[0])
    url = f"/a/{await submit(served, alert_xml)}"
    first = await served.http.get(url)
    assert first.headers["cache-control"].startswith("public, max-age=1")
    assert first.headers["vary"] == "Accept-Language"
    known = {"If-None-Match": first.headers["etag"]}
    again = await served.http.get(url, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (
        304,
        b"",
        first.headers["etag"],
    )
    other = await served.http.get(url, headers=known | {"Accept-Language": "es"})
    assert other.status_code == 200
    async with served.runtime.db.begin() as c:
        await c.execute(update(alert_table).values(planned_at=func.now()))
    await served.http.post(f"/v1/alerts/{url[3:]}/cancel", headers=served.auth)
    now[0] += 1
    ended = await served.http.get(url, headers=known)
    assert ended.status_code == 200
    assert "This alert has been cancelled." in ended.text


async def test_head_equals_get_without_body(served: Served, alert_xml: bytes) -> None:
    alert_id = await submit(served, alert_xml)
    for url in (f"/a/{alert_id}", "/citizen.css", "/u/x", "/x/x"):
        head, full = await served.http.head(url), await served.http.get(url)
        assert head.status_code == full.status_code
        assert head.headers["cache-control"] == full.headers["cache-control"]


async def test_unknown_page_is_an_html_404(served: Served) -> None:
    for url in ("/a/x", "/a/0b0e7a54-5d6e-4c8e-9a34-6f3f0f6f5a11", "/x/x", "/u/x"):
        answer = await served.http.get(url + "?lang=" + "x" * 100)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "no-store" in answer.headers["cache-control"]


async def test_leave_page_is_never_cached(served: Served) -> None:
    token = served.runtime.links.token(await an_address(served), Purpose.LEAVE)
    for answer in (await served.http.get(f"/u/{token}"), await served.http.post(f"/u/{token}")):
        assert answer.status_code == 200
        assert "no-store" in answer.headers["cache-control"]


async def test_hsts_is_sent_over_https(served: Served) -> None:
    answer = await served.http.get("/citizen.css")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
