"""The people of the scene as the system knows them: citizens, members of rosters, who may act."""

from __future__ import annotations

from dataclasses import replace

from scene import AREAS, GROUPS, PEOPLE, PRINCIPALS, Person
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.register import read_row
from alerting.domain.principal import RIGHTS
from alerting.drills import rosters
from alerting.store.citizens.import_citizens import RegisterRow, merge
from alerting.store.db import raw
from alerting.store.schema import person


def endpoint(name: str, channel: str) -> str:
    """Where a message for somebody goes."""
    number = list(PEOPLE).index(name)
    return {
        "sms": f"+44770090010{number}",
        "email": f"{name}@example.org",
        "push": f"https://push.example.org/{name}",
    }[channel]


#: Whose an endpoint is.
OWNERS = {endpoint(p.name, c): p.name for p in PEOPLE.values() for c in p.channels}


async def register(connection: AsyncConnection) -> bytes:
    """Everybody, with rosters of the same names and members as the register's groups; returns the
    key of the drills' wall."""
    await merge(await raw(connection), [_row(p) for p in PEOPLE.values()])
    for name, members in GROUPS.items():
        await rosters.create(connection, name, by="person:chief")
        await rosters.add(connection, name, sorted(members), source="asked", by="person:chief")
    persons = {p.person_id: p for p in PRINCIPALS.values()}
    values = [
        {"id": i, "name": p.actor, "rights": list(RIGHTS), "senders": ["*"], "statuses": []}
        for i, p in persons.items()
    ]
    await connection.execute(insert(person), values)
    return await rosters.key(connection)


async def move_in(connection: AsyncConnection, name: str, homes: str) -> None:
    """Give a citizen other places."""
    await merge(await raw(connection), [_row(replace(PEOPLE[name], homes=homes))])


def _row(person: Person) -> RegisterRow:
    places = [f"place {a}:50.5,{AREAS[a] + 0.5}" for a in person.homes]
    line = {
        "ref": person.name,
        "language": "en",
        "channels": " ".join(person.channels),
        "places": ";".join(places),
        "groups": " ".join(sorted(g for g, who in GROUPS.items() if person.name in who)),
    }
    line |= {c: endpoint(person.name, c) for c in person.channels if c != "push"}
    if "push" in person.channels:
        keys = '"keys": {"p256dh": "p", "auth": "a"}'
        line["push"] = f'{{"endpoint": "{endpoint(person.name, "push")}", {keys}}}'
    return read_row(line)
