"""A small directory of citizens, and dispatch over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dispatch_harness import DispatchHarness, Recorder
from shapely import box

from alerting.audience.synthetic import generate, store
from alerting.cap import read
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.domain.alert import Alert
from alerting.settings import Settings
from alerting.store.db import Database

#: The example's polygon.
AREA = box(2.40, 54.46, 2.62, 54.60)


@pytest.fixture
def alert_xml() -> bytes:
    return (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()


@pytest.fixture
def flood(alert_xml: bytes) -> Alert:
    return read(alert_xml).alerts[0]


@pytest.fixture
async def harness(db: Database, redis_url: str) -> AsyncIterator[DispatchHarness]:
    citizens = generate(
        300,
        AREA,
        seed=7,
        make_push=lambda name: (f"https://push.example.org/{name}", {"p256dh": "p", "auth": "a"}),
        languages={"en": 0.7, "es": 0.3},
    )
    async with db.begin() as connection:
        await store(connection, citizens)
    notifier = WorkNotifier(redis_url)
    harness = DispatchHarness(
        db,
        ManualClock(datetime.now(UTC)),
        notifier,
        Settings(chunk_size=50, window=8, sweep_s=0.001, retry_s=60),
        {name: Recorder(name) for name in ("sms", "email", "push")},
        citizens,
    )
    yield harness
    await harness.close()
    notifier.close()
