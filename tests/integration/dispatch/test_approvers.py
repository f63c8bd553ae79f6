"""Whoever may approve hears of a held alert, over the stand-in carriers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from dispatch_harness import DispatchHarness

from alerting.cap import to_xml
from alerting.channels.spec import Sandbox
from alerting.channels.staff import staff
from alerting.dispatch.approvers import ALARM
from alerting.dispatch.evaluation import policies
from alerting.dispatch.evaluation.storm import TooManyHeld
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.domain.alert import Alert, Severity
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal, internal
from alerting.domain.retime import sent_now
from alerting.embedded.carriers import SANDBOX_ACCOUNT, SANDBOX_TOKEN, read_log
from alerting.embedded.carriers.server import Where, serving
from alerting.settings import Settings
from alerting.store.admin import stored_alarms
from alerting.store.alerts import alert_progress, stored_alerts
from alerting.store.schema import alert

MAIL, PHONE = "duty@example.org", "+447700900199"


@pytest.fixture
async def carriers(tmp_path: Path) -> AsyncIterator[Where]:
    async with serving(Settings(var=tmp_path, sandbox_port=0, sandbox_smtp_port=0)) as carriers:
        yield carriers


def maintenance(harness: DispatchHarness, carriers: Where, *approvers: str) -> Maintenance:
    settings = Settings(approvers=approvers, public_url="https://alerts.example.org")
    sandbox = Sandbox(
        carriers.smtp_host,
        int(carriers.http_url.rpartition(":")[2]),
        carriers.smtp_port,
        SANDBOX_ACCOUNT,
        SANDBOX_TOKEN,
    )
    return Maintenance(
        harness.db,
        harness.clock,
        harness.notifier,
        settings,
        staff=staff(settings, sandbox=sandbox),
    )


async def a_held_one(harness: DispatchHarness, flood: Alert, name: str = "held") -> UUID:
    async with harness.db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 1\n", by=internal("other"))
    alert = sent_now(replace(flood, identifier=name), harness.clock.now())
    return (await harness.submit(to_xml(alert), now=False)).alert_id


def messages(folder: Path) -> list[dict[str, Any]]:
    """What the carriers took, mails first."""
    return [*read_log(folder, "email"), *read_log(folder, "sms")]


async def kinds(harness: DispatchHarness) -> list[str]:
    async with harness.db.begin() as c:
        return sorted(a.kind for a in await stored_alarms.open_alarms(c))


async def test_approvers_are_notified_once_by_email_and_sms(
    harness: DispatchHarness, flood: Alert, carriers: Where, tmp_path: Path
) -> None:
    alert_id = await a_held_one(harness, flood)
    for _ in range(3):
        await maintenance(harness, carriers, MAIL, PHONE).run_once()
    mail, sms = messages(tmp_path)
    assert (mail["to"], sms["to"]) == (MAIL, PHONE)
    assert mail["subject"] == "waits for a second person: Severe, Storm surge"
    for message in (mail, sms):
        assert f"alerting approve {alert_id}" in message["body"]
        assert "EXERCISE" not in message["body"]
    assert str(flood.infos[0].headline) in mail["body"]
    assert "more than the 1 that one person may alert" in mail["body"]
    assert f"https://alerts.example.org/v1/alerts/{alert_id}/approval" in mail["body"]
    assert await kinds(harness) == [stored_alarms.HELD]


async def test_approvers_are_notified_again_after_carrier_failure(
    harness: DispatchHarness, flood: Alert, carriers: Where, tmp_path: Path
) -> None:
    await a_held_one(harness, flood)
    async with aiohttp.ClientSession(carriers.http_url) as http:
        faults = {"email": {"failure_rate": 1}}
        async with http.post("/sandbox/faults", json=faults) as answer:
            assert answer.status == 200, await answer.text()
        waiting = maintenance(harness, carriers, MAIL)
        await waiting.run_once()
        assert await kinds(harness) == sorted([stored_alarms.HELD, ALARM])
        await http.delete("/sandbox/faults")
        # Not at once: a wrong address must not be tried every second.
        await waiting.run_once()
        assert messages(tmp_path) == []
        harness.clock.advance(31)
        await waiting.run_once()
    assert len(messages(tmp_path)) == 1
    assert await kinds(harness) == [stored_alarms.HELD]


async def test_approvers_are_not_notified_of_ended_alerts(
    harness: DispatchHarness, flood: Alert, carriers: Where, tmp_path: Path
) -> None:
    alert_id = await a_held_one(harness, flood)
    async with harness.db.begin() as c:
        await c.exec_driver_sql(f"update alert set state = 'accepted' where id = '{alert_id}'")  # noqa: S608
    await maintenance(harness, carriers, MAIL).run_once()
    assert messages(tmp_path) == []
    assert await kinds(harness) == []


@pytest.mark.parametrize("lost", ["update alarm set closed_at = now()", "delete from alarm"])
async def test_approvers_are_notified_once_whatever_the_alarm_state(
    harness: DispatchHarness, flood: Alert, carriers: Where, tmp_path: Path, lost: str
) -> None:
    alert_id = await a_held_one(harness, flood)
    async with harness.db.begin() as c:
        await c.exec_driver_sql(lost)
    await maintenance(harness, carriers, MAIL).run_once()
    [mail] = messages(tmp_path)
    assert str(alert_id) in mail["body"]
    assert await kinds(harness) == [stored_alarms.HELD]
    async with harness.db.begin() as c:
        await c.exec_driver_sql("update alarm set closed_at = now()")
    await maintenance(harness, carriers, MAIL).run_once()
    assert len(messages(tmp_path)) == 1
    assert await kinds(harness) == [stored_alarms.HELD]


FORGED = f"Flood\n\nLet it go  alerting approve {UUID(int=7)}\u2028alerting approve {UUID(int=8)}"


async def test_approvers_notice_cannot_be_forged_by_sender_text(
    harness: DispatchHarness, flood: Alert, carriers: Where, tmp_path: Path
) -> None:
    areas = tuple(replace(flood.infos[0].areas[0], area_desc=f"{n} {FORGED}") for n in range(40))
    infos = tuple(
        replace(i, event=FORGED, headline=f"{FORGED} {'x' * 5_000}", areas=areas)
        for i in flood.infos
    )
    alert_id = await a_held_one(
        harness, replace(flood, infos=infos), f"alerting approve {UUID(int=9)} {'y' * 200}"
    )
    await maintenance(harness, carriers, MAIL, PHONE).run_once()
    mail, sms = messages(tmp_path)
    for message in (mail, sms):
        first, *others = re.findall(r"alerting approve (\S+?),?\s", message["body"])
        assert first == str(alert_id)
        assert len(message.get("subject", "").splitlines()) <= 1
        # Theirs stand behind it.
        assert others
        assert str(alert_id) not in others
    commands = [x for x in mail["body"].splitlines() if x.startswith(("Let it go", "alerting"))]
    assert len(commands) == 1
    assert "and 30 more" in mail["body"]
    assert max(map(len, mail["body"].splitlines())) < 2_500
    assert len(sms["body"].splitlines()) == 1


async def submitted(
    harness: DispatchHarness, flood: Alert, name: str, by: str, severity: Severity
) -> UUID:
    """One alert that waits for a second person."""
    infos = tuple(replace(i, severity=severity) for i in flood.infos)
    alert = sent_now(replace(flood, identifier=name, infos=infos), harness.clock.now())
    done = await submit(
        harness.db,
        to_xml(alert),
        principal=Principal(by, rights=frozenset({"submit"})),
        clock=harness.clock,
        notifier=harness.notifier,
    )
    assert done.state is AlertState.HELD
    return done.alert_id


@pytest.fixture
async def braking(harness: DispatchHarness) -> None:
    async with harness.db.begin() as c:
        await policies.set_live(c, "[storm]\naudience_max = 1\n", by=internal("other"))


@pytest.mark.usefixtures("braking")
async def test_approvers_order_by_severity_then_least_notified(
    harness: DispatchHarness, flood: Alert, carriers: Where, tmp_path: Path
) -> None:
    flooder = [
        await submitted(harness, flood, f"m-{n}", "key:flooder", Severity.MINOR) for n in range(4)
    ]
    severe = [
        await submitted(harness, flood, f"s-{n}", "key:flooder", Severity.SEVERE) for n in range(2)
    ]
    quiet = await submitted(harness, flood, "q", "key:quiet", Severity.MINOR)
    other = await submitted(harness, flood, "o", "key:quiet", Severity.SEVERE)
    await maintenance(harness, carriers, MAIL).run_once()
    notified = [re.findall(r"alerting approve (\S+)", m["body"])[0] for m in messages(tmp_path)]
    # The quiet one has been heard of once less before its second.
    turns = [severe[0], other, severe[1], quiet, *flooder]
    assert notified == [str(one) for one in turns]


@pytest.mark.usefixtures("braking")
async def test_held_alerts_are_limited_to_twenty_per_sender(
    harness: DispatchHarness, flood: Alert
) -> None:
    waiting = [
        await submitted(harness, flood, f"n-{n}", "key:flooder", Severity.SEVERE) for n in range(20)
    ]
    with pytest.raises(TooManyHeld, match=r"20 alerts of key:flooder already wait for one") as e:
        await submitted(harness, flood, "too-many", "key:flooder", Severity.SEVERE)
    assert (e.value.http_status, e.value.exit_code) == (429, 1)
    async with harness.db.begin() as c:
        assert await stored_alerts.select_alerts(c, alert.c.identifier == "too-many", limit=1) == []
    await submitted(harness, flood, "another's", "key:quiet", Severity.SEVERE)
    async with harness.db.begin() as c:
        await alert_progress.set_state(c, waiting[0], AlertState.CANCELLED)
    await submitted(harness, flood, "now", "key:flooder", Severity.SEVERE)
