"""Two people are two people: what a held alert waits for cannot be had from one, by any door."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from click.testing import CliRunner
from phones import work
from served import Served
from sqlalchemy import select, text, update

from alerting.audience.register import read_row
from alerting.cli import cli
from alerting.dispatch.evaluation import policies
from alerting.dispatch.intake.approve import approve
from alerting.domain.principal import RIGHTS, Principal, internal
from alerting.errors import AlertingError, Forbidden
from alerting.settings import settings
from alerting.store.admin import api_keys, stored_people
from alerting.store.admin.stored_people import Person
from alerting.store.citizens.import_citizens import merge
from alerting.store.db import raw
from alerting.store.schema import alert, api_key, delivery

BRAKE = '[storm]\naudience_max = 2\npreauthorised = ["Civil-Protection@example.org", "chief-*"]\n'

Auth = dict[str, str]


class Centre:
    """A running API with three citizens in the example's area, and a brake for more than two."""

    def __init__(self, served: Served, alert_xml: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served = served
        self.xml = alert_xml
        self.environment = monkeypatch

    async def person(self, name: str, *rights: str, uid: int | None = None) -> Person:
        async with self.served.runtime.db.begin() as c:
            return await stored_people.add(
                c, name, by=internal("test"), rights=rights, senders=("*",), uid=uid
            )

    async def key(
        self, name: str, *rights: str, of: Person | None = None, by: Principal | None = None
    ) -> Auth:
        async with self.served.runtime.db.begin() as c:
            key = await api_keys.create(
                c, name, rights, by=by or internal("test"), owner=of, senders=("*",)
            )
        return {"Authorization": f"Bearer {key}"}

    async def principal(self, auth: Auth) -> Principal:
        async with self.served.runtime.db.begin() as c:
            return (await api_keys.verify(c, auth["Authorization"].partition(" ")[2])).principal

    async def submit(self, auth: Auth, xml: bytes | None = None, name: str = "one") -> str:
        """Submit and let a worker do its part; returns the alert's id."""
        answer = await self.served.http.post(
            "/v1/alerts?now=true",
            content=(xml or self.xml).replace(b"example-flood-0001", name.encode()),
            headers={**auth, "Content-Type": "application/cap+xml"},
        )
        assert answer.status_code == 202, answer.json()
        await work(self.served)
        return str(answer.json()["id"])

    async def approve(self, auth: Auth, alert_id: str) -> int:
        url = f"/v1/alerts/{alert_id}/approval"
        return (await self.served.http.post(url, headers=auth)).status_code

    async def type(self, *words: str) -> tuple[int, str]:
        """Types `alerting …`; the exit code and what was said."""

        def run() -> tuple[int, str]:
            settings.cache_clear()
            done = CliRunner().invoke(cli, words, standalone_mode=False)
            if isinstance(done.exception, AlertingError):
                return done.exception.exit_code, str(done.exception)
            if done.exception is not None:
                raise done.exception
            return done.return_value, done.stdout

        return await asyncio.to_thread(run)

    async def state(self, alert_id: str) -> str:
        await work(self.served)
        async with self.served.runtime.db.begin() as c:
            found = await c.scalar(select(alert.c.state).where(alert.c.id == alert_id))
        return str(found)

    async def sent(self) -> int:
        async with self.served.runtime.db.begin() as c:
            return len((await c.execute(select(delivery.c.id))).all())


@pytest.fixture
async def centre(
    served: Served,
    alert_xml: bytes,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    redis_url: str,
) -> Centre:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    rows = [
        {"ref": f"c-{n}", "language": "en", "lat": "54.5", "lon": "2.5", "sms": f"+44770090000{n}"}
        for n in range(3)
    ]
    async with served.runtime.db.begin() as c:
        await merge(await raw(c), [read_row(row) for row in rows])
        await policies.set_live(c, BRAKE, by=internal("setup"))
    return Centre(served, alert_xml, monkeypatch)


async def control(centre: Centre) -> str:
    """Nothing but the alert."""
    return await centre.submit(await centre.key("centre-1", "submit"))


async def by_an_info_that_is_over_elsewhere(centre: Centre) -> str:
    head, info, rest = centre.xml.partition(b"<info>")
    ocean = centre.xml[centre.xml.index(b"<info>") : centre.xml.index(b"</info>") + len(b"</info>")]
    start, end = ocean.index(b"<polygon>"), ocean.index(b"</polygon>") + len(b"</polygon>")
    ocean = ocean[:start] + b"<circle>0,-30 1</circle>" + ocean[end:]
    ocean = ocean.replace(b"Immediate</urgency>", b"Past</urgency>")
    return await centre.submit(await centre.key("centre-1", "submit"), head + ocean + info + rest)


async def by_a_preauthorised_senders_name(centre: Centre) -> str:
    xml = centre.xml.replace(b"centre@example.org", b"Civil-Protection@example.org")
    xml = xml.replace(b"Severe</severity>", b"Extreme</severity>")
    return await centre.submit(await centre.key("centre-1", "submit"), xml)


async def by_another_login_name(centre: Centre) -> str:
    ada = await centre.person("ada", "submit", "approve", uid=os.getuid())
    alert_id = await centre.submit(await centre.key("ada-1", "submit", of=ada))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        centre.environment.setenv(name, "somebody.else")
    code, said = await centre.type("approve", alert_id)
    assert (code, "Nobody approves their own alert" in said) == (2, True), said
    return alert_id


async def by_key_and_then_by_command_line(centre: Centre) -> str:
    ada = await centre.person("ada", "submit", "approve", uid=os.getuid())
    alert_id = await centre.submit(await centre.key("ada-1", "submit", of=ada))
    code, said = await centre.type("approve", alert_id)
    assert (code, "Nobody approves their own alert" in said) == (2, True), said
    return alert_id


async def by_loosening_the_policy(centre: Centre) -> str:
    ada = await centre.person("ada", "submit", "policy")
    auth = await centre.key("ada-1", "submit", "policy", of=ada)
    held = await centre.submit(auth)
    assert await centre.state(held) == "held"
    for audience in (100, 1000):
        answer = await centre.served.http.put(
            "/v1/policy", content=f"[storm]\naudience_max = {audience}\n".encode(), headers=auth
        )
        assert answer.status_code == 200
    return await centre.submit(await centre.key("ada-2", "submit", of=ada), name="two")


async def by_two_keys_of_one_person(centre: Centre) -> str:
    ada = await centre.person("ada", "submit", "approve")
    alert_id = await centre.submit(await centre.key("ada-1", "submit", of=ada))
    assert await centre.approve(await centre.key("ada-2", "approve", of=ada), alert_id) == 403
    return alert_id


async def by_a_key_made_for_another_person(centre: Centre) -> str:
    ada = await centre.person("ada", *RIGHTS)
    zoe = await centre.person("zoe", *RIGHTS)
    own = await centre.key("ada-1", *RIGHTS, of=ada)
    minted = await centre.key("zoe-1", *RIGHTS, of=zoe, by=await centre.principal(own))
    again = await centre.key("zoe-2", *RIGHTS, of=zoe, by=await centre.principal(minted))
    alert_id = await centre.submit(own)
    for auth in (minted, again):
        assert await centre.approve(auth, alert_id) == 403
    return alert_id


async def by_submitting_with_a_key_made_for_another(centre: Centre) -> str:
    ada = await centre.person("ada", *RIGHTS)
    zoe = await centre.person("zoe", "submit")
    own = await centre.key("ada-1", *RIGHTS, of=ada)
    minted = await centre.key("zoe-1", "submit", of=zoe, by=await centre.principal(own))
    alert_id = await centre.submit(minted)
    assert await centre.approve(own, alert_id) == 403
    return alert_id


async def by_a_machines_key_of_ones_own_making(centre: Centre) -> str:
    ada = await centre.person("ada", *RIGHTS)
    own = await centre.key("ada-1", *RIGHTS, of=ada)
    machine = await centre.key("gauges-1", "submit", by=await centre.principal(own))
    alert_id = await centre.submit(machine)
    assert await centre.approve(own, alert_id) == 403
    return alert_id


async def by_a_key_that_was_nobodys(centre: Centre) -> str:
    """As it is after an upgrade: the key is assigned only after it was used."""
    ada = await centre.person("ada", "submit", "approve", "people")
    auth = await centre.key("old", "submit")
    async with centre.served.runtime.db.begin() as c:
        await c.execute(update(api_key).values(unassigned=True))
    alert_id = await centre.submit(auth)
    async with centre.served.runtime.db.begin() as c:
        await api_keys.assign(c, "old", owner=ada, by=internal("test"))
    assert await centre.approve(await centre.key("ada-2", "approve", of=ada), alert_id) == 403
    return alert_id


async def by_many_senders_names(centre: Centre) -> str:
    async with centre.served.runtime.db.begin() as c:
        few = "[storm]\nat_least = 2\nusual_factor = 2\n"
        await policies.set_live(c, few, by=internal("setup"))
    auth = await centre.key("centre-1", "submit")
    for n in range(2):
        xml = centre.xml.replace(b"centre@", b"centre-%d@" % n)
        await centre.served.http.post(
            "/v1/alerts?now=true",
            content=xml.replace(b"flood-0001", b"%d" % n),
            headers={**auth, "Content-Type": "application/cap+xml"},
        )
    return await centre.submit(auth, centre.xml.replace(b"centre@", b"centre-3@"))


WAYS = [
    control,
    by_an_info_that_is_over_elsewhere,
    by_a_preauthorised_senders_name,
    by_another_login_name,
    by_key_and_then_by_command_line,
    by_loosening_the_policy,
    by_two_keys_of_one_person,
    by_a_key_made_for_another_person,
    by_submitting_with_a_key_made_for_another,
    by_a_machines_key_of_ones_own_making,
    by_a_key_that_was_nobodys,
    by_many_senders_names,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_one_person_cannot_approve_own_alert(
    centre: Centre, way: Callable[[Centre], Awaitable[str]]
) -> None:
    alert_id = await way(centre)
    assert await centre.state(alert_id) == "held"
    async with centre.served.runtime.db.begin() as c:
        notified = await c.scalar(
            text("select count(*) from delivery where alert_id = :id"), {"id": alert_id}
        )
    assert notified == 0


async def test_second_person_approves(centre: Centre) -> None:
    ada, ben = await centre.person("ada", "submit"), await centre.person("ben", "approve")
    alert_id = await centre.submit(await centre.key("ada-1", "submit", of=ada))
    one, other = [await centre.key(f"ben-{n}", "approve", of=ben) for n in range(2)]
    # A machine, and a person without the right, are no second person.
    assert await centre.approve(await centre.key("gauges", "submit"), alert_id) == 403
    for auth in (one, one, other):
        assert await centre.approve(auth, alert_id) == 200
    assert await centre.state(alert_id) == "completed"
    assert await centre.sent() == 3
    async with centre.served.runtime.db.begin() as c:
        found = (
            await c.execute(
                select(
                    alert.c.submitted_by,
                    alert.c.submitted_person,
                    alert.c.approved_by,
                    alert.c.approved_person,
                )
            )
        ).one()
    assert tuple(found) == ("person:ada key:ada-1", ada.id, "person:ben key:ben-0", ben.id)


async def test_maker_of_both_keys_does_not_block_approval(centre: Centre) -> None:
    chief = await centre.person("chief", *RIGHTS)
    maker = chief.principal
    ada, ben = await centre.person("ada", "submit"), await centre.person("ben", "approve")
    alert_id = await centre.submit(await centre.key("ada-1", "submit", of=ada, by=maker))
    by_ben = await centre.key("ben-1", "approve", of=ben, by=maker)
    assert await centre.approve(by_ben, alert_id) == 200


async def test_approval_uses_the_policy_in_force(centre: Centre) -> None:
    ada, ben = await centre.person("ada", "submit"), await centre.person("ben", "policy")
    answer = await centre.served.http.put(
        "/v1/policy",
        content=b"[storm]\naudience_max = 100\n",
        headers=await centre.key("ben-1", "policy", of=ben),
    )
    assert answer.status_code == 200
    alert_id = await centre.submit(await centre.key("ada-1", "submit", of=ada))
    assert await centre.state(alert_id) == "completed"


async def test_foreign_alerts_do_not_use_up_the_allowance(centre: Centre) -> None:
    async with centre.served.runtime.db.begin() as c:
        few = "[storm]\nat_least = 2\nusual_factor = 2\n"
        await policies.set_live(c, few, by=internal("setup"))
    stranger, agency = [await centre.key(name, "submit") for name in ("stranger", "agency")]
    for n in range(3):
        await centre.submit(stranger, name=f"s{n}")
    assert await centre.state(await centre.submit(stranger, name="s4")) == "held"
    for n in range(2):
        assert await centre.state(await centre.submit(agency, name=f"a{n}")) != "held"
    # What was held counts for nothing either.
    async with centre.served.runtime.db.begin() as c:
        await c.execute(
            update(alert)
            .where(alert.c.submitted_by == "key:agency")
            .values(state="expired", planned_at=None)
        )
    assert await centre.state(await centre.submit(agency, name="a3")) != "held"


async def test_person_ended_meanwhile_cannot_approve(
    centre: Centre,
) -> None:
    await centre.person("chief", *RIGHTS)
    ben = await centre.person("ben", "approve")
    alert_id = await centre.submit(await centre.key("centre-1", "submit"))
    async with centre.served.runtime.db.begin() as c:
        await stored_people.end(c, "ben", by=internal("test"))
    run = centre.served.runtime
    with pytest.raises(Forbidden, match="may no longer act"):
        await approve(
            run.db, run.notifier, UUID(alert_id), principal=ben.principal, clock=run.clock
        )
    assert await centre.state(alert_id) == "held"
