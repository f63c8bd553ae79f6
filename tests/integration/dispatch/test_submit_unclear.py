"""A submission that is not plain about being real, or about whom it is for, changes nothing."""

from __future__ import annotations

import json

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import func, select, text

from alerting.cap import from_json, read, to_json
from alerting.dispatch.intake.cancel import cancel
from alerting.domain.principal import internal
from alerting.errors import BadInput
from alerting.store.alerts import stored_alerts
from alerting.store.schema import alert as alert_table
from alerting.store.schema import outbox

STATUS = "<status>Actual</status>"
SCOPE = "<scope>Public</scope>"
SEVERITY = "<severity>Severe</severity>"
EXPIRES = "<expires>2026-11-01T14:00:00+01:00</expires>"

UNCLEAR = [
    (STATUS, f"{STATUS}<status>Exercise</status>", "Say status once."),
    (STATUS, "<status>A.c.t.u.a.l</status>", "which is never guessed"),
    (STATUS, "<status>Act<b>ual</b></status>", "Write status as plain text."),
    (
        SCOPE,
        f"{SCOPE}<scope>Restricted</scope><restriction>police</restriction>",
        "Say scope once.",
    ),
    (
        SCOPE,
        f"{SCOPE}<restriction>police only</restriction>",
        "Say Restricted or Private in scope, or leave out restriction and addresses.",
    ),
    (SCOPE, f"{SCOPE}<addresses>police</addresses>", "Say Restricted or Private in scope"),
    (SCOPE, "", "Say Public, Restricted or Private."),
    (SEVERITY, "<severity>Sever</severity>", "Did you mean Severe?"),
    (SEVERITY, "", "severity: missing"),
    (EXPIRES, EXPIRES.replace("+01:00", ""), "has no offset from UTC"),
]


@pytest.mark.parametrize(("old", "new", "said"), UNCLEAR)
async def test_submit_refuses_unclear_fields(
    harness: DispatchHarness, alert_xml: bytes, old: str, new: str, said: str
) -> None:
    assert old in alert_xml.decode()
    await refused(harness, alert_xml.decode().replace(old, new, 1), said)


async def test_submit_notes_contradictions(harness: DispatchHarness, alert_xml: bytes) -> None:
    submitted = await harness.submit(alert_xml.replace(b">Severe<", b">Minor<"))
    assert [n for n in submitted.notes if "Evacuate and Immediate, and severity Minor" in n]
    notes = (await harness.submit(alert_xml.replace(b"-0001", b"-0002"))).notes
    assert not [n for n in notes if "severity" in n]


async def test_submit_refuses_duplicate_json_keys(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    body = json.dumps(to_json(read(alert_xml).alerts[0]))
    await refused(harness, '{"status": "Exercise", ' + body[1:], "Give each name once.")


async def refused(harness: DispatchHarness, document: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        await harness.submit(document.encode())
    assert said in str(caught.value)
    async with harness.db.begin() as connection:
        for table in (alert_table, outbox):
            assert (await connection.scalar(select(func.count()).select_from(table))) == 0


async def test_cancel_ends_alert_accepted_before_stricter_rules(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    async with harness.db.begin() as connection:
        await connection.execute(
            text("""update alert set document = document || '{"addresses": ["police"]}'""")
        )
    done = await cancel(
        harness.db,
        submitted.alert_id,
        principal=internal("test"),
        clock=harness.clock,
        notifier=harness.notifier,
    )
    assert done.notice is not None
    async with harness.db.begin() as connection:
        stored = await stored_alerts.get(connection, done.notice.alert_id)
    assert stored is not None
    assert from_json(stored.document).addresses == ("police",)
