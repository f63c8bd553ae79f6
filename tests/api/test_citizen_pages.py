from __future__ import annotations

from served import Served
from sqlalchemy import insert, select

from alerting.store.schema import address, citizen


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


async def test_the_alert_in_the_readers_language(served: Served, alert_xml: bytes) -> None:
    url = f"/a/{await submit(served, alert_xml)}"
    english = await served.http.get(url)
    assert '<html lang="en-GB" dir="ltr">' in english.text
    assert "Go uphill on foot" in english.text
    spanish = await served.http.get(url, headers={"Accept-Language": "es-MX,en;q=0.5"})
    assert "Suba a pie" in spanish.text
    assert "Suba a pie" in (await served.http.get(url + "?lang=es")).text
    assert "script" not in english.text
    assert "default-src 'none'" in english.headers["content-security-policy"]


async def test_what_is_not_public_is_not_shown(served: Served, alert_xml: bytes) -> None:
    exercise = alert_xml.replace(b">Actual<", b">Exercise<")
    answer = await served.http.get(f"/a/{await submit(served, exercise)}")
    assert answer.status_code == 404


async def test_a_markup_in_an_alert_stays_text(served: Served, alert_xml: bytes) -> None:
    evil = alert_xml.replace(b"Go uphill", b"&lt;script&gt;alert(1)&lt;/script&gt; Go uphill")
    page = (await served.http.get(f"/a/{await submit(served, evil)}")).text
    assert "<script>" not in page


async def test_leaving_takes_one_press_and_no_look(served: Served) -> None:
    id_ = await an_address(served)
    url = f"/u/{served.runtime.links.token(id_)}"
    asked = await served.http.get(url)
    assert "Nothing has changed yet" in asked.text
    assert await consent(served, id_) is True
    left = await served.http.post(url, data={"List-Unsubscribe": "One-Click"})
    assert left.status_code == 200
    assert "no more alerts by e-mail" in left.text
    assert "set-cookie" not in left.headers
    assert await consent(served, id_) is False


async def test_a_token_nobody_made_changes_nothing(served: Served) -> None:
    id_ = await an_address(served)
    token = served.runtime.links.token(id_)
    for bad in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", "é"):
        for method in ("GET", "POST"):
            assert (await served.http.request(method, f"/u/{bad}")).status_code == 404
    assert await consent(served, id_) is True
