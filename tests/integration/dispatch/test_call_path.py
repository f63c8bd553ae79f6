"""The way of an alert from REST to the first SMS, call by call (`call_path`)."""

from __future__ import annotations

import httpx
from call_path import CallPath
from dispatch_harness import DispatchHarness
from household import PHONE, live_here

from alerting.api import create_app
from alerting.citizen import router as citizen_pages
from alerting.domain.principal import internal
from alerting.settings import Settings
from alerting.store.admin import api_keys

#: In the request, in planning and in sending. When there are more, a value is fetched or handed
#: back where it could have been handed on.
MOST_CLIMBS = 12


async def test_rest_to_first_sms_climbs_little(
    harness: DispatchHarness, database_url: str, redis_url: str, alert_xml: bytes
) -> None:
    await live_here(harness, alert_xml, anna={"sms": PHONE})
    taken = CallPath(alert_xml)
    settings = Settings(database_url=database_url, redis_url=redis_url)
    app = create_app(settings, citizen_pages)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app):
        async with harness.db.begin() as c:
            # Who may not read is answered in fewer words about few people, a longer way.
            key = await api_keys.create(
                c, "centre", ["submit", "read"], senders=("*",), by=internal("test")
            )
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            with taken.followed(lambda module, name: name == "WorkNotifier.notify"):
                answer = await http.post(
                    "/v1/alerts?now=true",
                    content=alert_xml,
                    headers={"Authorization": f"Bearer {key}", "Content-Type": "application/xml"},
                )
    assert answer.status_code == 202, answer.text

    sent = CallPath(alert_xml)
    worker = harness.worker()
    with sent.followed(lambda module, name: name == "Recorder.send"):
        await worker.sweep()
    assert sent.ended
    assert [m.endpoint for m in harness.sent] == [PHONE]

    climbs = taken.climbs + sent.climbs
    assert climbs <= MOST_CLIMBS, f"\n{taken}\n\n{sent}"
