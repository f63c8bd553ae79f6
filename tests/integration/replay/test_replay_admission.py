"""A replay takes every alert as live intake does: thread, event, what it ends, and what is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from corpora import stream
from sizes import size
from sqlalchemy import select

from alerting.cap import to_xml
from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.intake.approve import approve
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.intake.times import sending_ends
from alerting.domain.alert import Alert, MsgType
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal
from alerting.errors import BadInput, Conflict
from alerting.replay.admission import Admission
from alerting.replay.concern import Concern
from alerting.replay.ledger import Source
from alerting.replay.population import Population
from alerting.replay.storm_trace import generate
from alerting.store.db import Database
from alerting.store.schema import alert as alerts
from alerting.throttle.policy.parse import default_policy

#: So many alerts of a long stream are played: each is compared with all before it.
_MOST = size(120, 250)
_DAY_S = 24 * 3600

#: Not the documents, which are long.
_STANDING = select(
    alerts.c.id, alerts.c.thread_id, alerts.c.event_id, alerts.c.state, alerts.c.ended_by
)

#: Of each alert: the first of its thread, the first of its event, whether it goes out, what ended
#: it.
Standing = list[tuple[int, int, bool, int | None]]


@pytest.fixture
async def notifier(redis_url: str) -> AsyncIterator[WorkNotifier]:
    notifier = WorkNotifier(redis_url)
    yield notifier
    notifier.close()


class Live:
    """Live intake over a real database, with nobody in its register and no worker."""

    def __init__(self, db: Database, notifier: WorkNotifier) -> None:
        self._db = db
        self._notifier = notifier
        self._clock = ManualClock(datetime.now(UTC))
        self._ids: list[Any] = []

    async def admit(self, alert: Alert) -> str | None:
        """Why it was held, "" where it was not; None where it was not taken as a new alert.
        Whatever is held is approved at once."""
        self._clock.at = alert.sent
        options: dict[str, Any] = {"clock": self._clock, "notifier": self._notifier}
        machine = Principal(f"key:{alert.sender}", rights=frozenset({"submit"}))
        try:
            done = await submit(self._db, to_xml(alert), principal=machine, **options)
        except (BadInput, Conflict):
            return None
        if not done.created:
            return None
        self._ids.append(done.alert_id)
        if done.state is not AlertState.HELD:
            return ""
        async with self._db.begin() as c:
            query = select(alerts.c.state_reason).where(alerts.c.id == done.alert_id)
            reason = (await c.execute(query)).scalar_one()
        second = Principal("key:second", rights=frozenset({"approve"}))
        await approve(self._db, self._notifier, done.alert_id, principal=second, clock=self._clock)
        return str(reason)

    async def standing(self) -> Standing:
        async with self._db.begin() as c:
            rows = {r.id: r for r in await c.execute(_STANDING)}
        ordered = [rows[i] for i in self._ids]
        numbers = {alert_id: no for no, alert_id in enumerate(self._ids)}
        goes = {AlertState.ACCEPTED, AlertState.DELIVERING}
        return _standing(
            [(r.thread_id, r.event_id, r.state in goes, numbers.get(r.ended_by)) for r in ordered]
        )


class Replayed:
    """The intake of a replay, carried out as `alerting.replay.simulation` does."""

    def __init__(self) -> None:
        # As in the live intake beside it nothing is ever told to the end.
        nobody = Concern(Population([]))
        self._admission = Admission(default_policy(), nobody, waits=lambda _: True)
        self._sources: list[Source] = []
        self._ended_by: dict[int, int] = {}

    async def admit(self, alert: Alert) -> str:
        done = await self._admission.admit(alert, sending_ends(alert, alert.sent, _DAY_S))
        self._sources.append(done.source)
        cancel = done.source.alert.msg_type is MsgType.CANCEL
        for older in done.ended:
            older.state = AlertState.CANCELLED if cancel else AlertState.SUPERSEDED
            self._ended_by[older.no] = done.source.no
        return done.held

    def standing(self) -> Standing:
        return _standing(
            [
                (s.thread, s.event, s.state is AlertState.DELIVERING, self._ended_by.get(s.no))
                for s in self._sources
            ]
        )


def _standing(rows: Sequence[tuple[Any, Any, bool, int | None]]) -> Standing:
    threads: dict[Any, int] = {}
    events: dict[Any, int] = {}
    return [
        (threads.setdefault(thread, no), events.setdefault(event, no), goes, by)
        for no, (thread, event, goes, by) in enumerate(rows)
    ]


async def _play(db: Database, notifier: WorkNotifier, stream: Sequence[Alert]) -> Standing:
    """Play a stream through both, alert by alert; returns how they stand in the end."""
    live, replayed = Live(db, notifier), Replayed()
    for alert in stream:
        if not alert.for_public or alert.msg_type in {MsgType.ACK, MsgType.ERROR}:
            continue
        held = await live.admit(alert)
        if held is None:
            continue
        assert await replayed.admit(alert) == held, alert.identifier
        assert replayed.standing() == await live.standing(), alert.identifier
    return replayed.standing()


@pytest.mark.parametrize("seed", [1, 2])
async def test_replay_admits_a_storm_as_live_intake_does(
    db: Database, notifier: WorkNotifier, seed: int
) -> None:
    stream = sorted(generate(seed, citizens=1).alerts, key=lambda a: a.sent)
    standing = await _play(db, notifier, stream)
    # The storm has something of everything.
    assert len(standing) > len({s[0] for s in standing}) > len({s[1] for s in standing}) > 1
    assert any(s[3] is not None for s in standing)


@pytest.mark.parametrize("name", ["lafd-2022", "oref-2021-05", "ukraine-2022-10"])
async def test_replay_admits_a_real_stream_as_live_intake_does(
    corpus: Path, db: Database, notifier: WorkNotifier, name: str
) -> None:
    assert await _play(db, notifier, stream(corpus, f"{name}.zip", _MOST).alerts)
