"""A worker that sends an alert, and the spans a collector has of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from otlp_collector import Collector, collecting, needs_opentelemetry
from shapely import box
from sqlalchemy import select

from alerting.audience.synthetic import generate, store
from alerting.bootstrap import Runtime
from alerting.cap import read
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.status import status
from alerting.domain.lane import lane_of
from alerting.domain.principal import internal
from alerting.embedded.carriers.identity import PUSH_SEED, SANDBOX_TOKEN
from alerting.embedded.carriers.server import serving
from alerting.embedded.carriers.subscriptions import subscription
from alerting.settings import Settings
from alerting.store.schema import address, citizen, outbox
from alerting.worker import open_worker

FLOOD = (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()

#: Citizens in the area, and how many of one channel fit into a chunk.
CITIZENS, CHUNK = 40, 10


async def warned(settings: Settings, carriers: str) -> tuple[Counter[tuple[object, ...]], set[str]]:
    """Let a worker send an alert; returns its plans and chunks, and what no span may hold."""
    async with Runtime.open(settings) as run:
        people = generate(
            CITIZENS,
            box(2.40, 54.46, 2.62, 54.60),
            seed=7,
            make_push=lambda name: subscription(carriers, PUSH_SEED, name),
            languages={"en": 1.0},
        )
        async with run.db.begin() as c:
            await store(c, people)
        async with open_worker(settings, [lane_of(read(FLOOD).alerts[0])]):
            sent = await submit(
                run.db,
                FLOOD,
                principal=internal("test"),
                clock=run.clock,
                notifier=run.notifier,
                now=True,
            )
            async with asyncio.timeout(240):
                while True:
                    async with run.db.begin() as c:
                        if (await status(c, sent.alert_id)).settled:
                            break
                    await asyncio.sleep(0.05)
        async with run.db.begin() as c:
            work = await c.execute(
                select(
                    outbox.c.id, outbox.c.kind, outbox.c.lane, outbox.c.channel, outbox.c.size
                ).where(outbox.c.alert_id == sent.alert_id)
            )
            rows = Counter((str(sent.alert_id), *row) for row in work)
            secrets = set(await c.scalars(select(address.c.endpoint)))
            secrets |= set(await c.scalars(select(citizen.c.ref)))
    secrets |= {SANDBOX_TOKEN, settings.database_url, settings.redis_url, settings.broker_url}
    for info in read(FLOOD).alerts[0].infos:
        secrets |= {info.event, info.headline, info.description, info.instruction}
        secrets |= {area.area_desc for area in info.areas}
    return rows, {secret for secret in secrets if secret}


@needs_opentelemetry
async def test_each_plan_and_chunk_is_a_span_without_address_token_or_text(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    var = tmp_path / "var"
    async with serving(Settings(var=var, sandbox_port=0, sandbox_smtp_port=0)) as where:
        with collecting() as collector:
            settings = Settings(
                var=var,
                database_url=database_url,
                redis_url=redis_url,
                broker_url=redis_url,
                carriers="sandbox",
                sandbox_port=urlsplit(where.http_url).port,
                sandbox_smtp_port=where.smtp_port,
                chunk_size=CHUNK,
                # No second channel after silence: nobody takes the carriers' callbacks here.
                receipt_severe_s=0,
                public_url="http://127.0.0.1:1",
                otlp_endpoint=collector.url,
            )
            rows, secrets = await warned(settings, where.http_url)
    assert len(secrets) > CITIZENS
    check(collector, rows, secrets)


def check(collector: Collector, rows: Counter[tuple[object, ...]], secrets: set[str]) -> None:
    kinds = Counter(kind for _, _, kind, *_ in rows)
    assert kinds["plan"] == 1
    assert kinds["deliver"] > CITIZENS / CHUNK
    spans = collector.spans()
    assert {(one.service, one.name) for one in spans} == {("alerting-worker", "work")}
    assert all(one.took_ns > 0 for one in spans)
    names = ("alert", "work", "kind", "lane", "channel", "size")
    for one in spans:
        assert set(one.attributes) == {f"alerting.{name}" for name in names}
    # What was paused has a span for each time it was taken up.
    seen = {tuple(one.attributes[f"alerting.{name}"] for name in names) for one in spans}
    assert seen == set(rows)
    raw = b"".join(collector.bodies)
    assert [secret for secret in secrets if secret.encode() in raw] == []
