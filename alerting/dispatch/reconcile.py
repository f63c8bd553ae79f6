"""Reconcile: update a restored database with what providers accepted since its backup.

After the dump was begun, workers of the old system went on sending. The restored ledger does not
show it: its open deliveries may have been sent, and some sent ones may not even be planned in it.
Providers' records decide. What they cannot answer is in doubt, and the rules of the lanes apply:
high-priority deliveries are sent again, flagged as possible duplicates; others wait for a receipt
and are then closed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from alerting.cap import from_json
from alerting.channels import registry
from alerting.channels.base import CannotLookUp
from alerting.clock import Clock
from alerting.dispatch.chunks.compose import Group
from alerting.dispatch.evaluation.chunk_evaluator import Sending
from alerting.dispatch.maillog import MailLog
from alerting.dispatch.plan import Planner
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.domain.links import Links
from alerting.errors import BadInput, Conflict
from alerting.observe.logs import logger
from alerting.providers.failover import Routes
from alerting.settings import Settings
from alerting.store import audit_log
from alerting.store.admin import api_keys, stored_people
from alerting.store.alerts import stored_alerts
from alerting.store.citizens import stops
from alerting.store.citizens.stops import Change
from alerting.store.db import Database
from alerting.store.ledger import deliveries
from alerting.store.ledger.deliveries import RESTORED, OpenDelivery
from alerting.store.ledger.outcomes import OutcomeRow, record_outcomes
from alerting.store.schema import CHUNK_SPAN
from alerting.store.work import claims, queues, restored
from alerting.store.work.outbox import Work

log = logger(__name__)

_LEASE_S = 3600.0

#: Concurrent look-ups.
_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The outcome of the deliveries that were open in the backup.

    Attributes:
        planned: Deliveries that were planned only now.
        accepted: Accepted by a provider after the backup.
        failed: Accepted by a provider that then failed to deliver them.
        unsent: Accepted by no provider; they are sent now.
        in_doubt: Unknown to every record.
        alerts: Alerts that continue when workers start.
        keys: API keys that were ended.
        stops: Endpoints whose owners unsubscribed, or subscribed again, after the backup.
        people: Persons who may act according to the backup.
    """

    planned: int
    accepted: int
    failed: int
    unsent: int
    in_doubt: int
    alerts: tuple[UUID, ...]
    keys: tuple[str, ...] = ()
    stops: int = 0
    people: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"alerts": [str(a) for a in self.alerts]}


class Reconciler:
    """Reconciles a database opened under `restored.reconciling`, while no worker uses it.

    Args:
        since: When the backup was begun.
        mail_log: All lines of the mail relay's log since then; without it every open mail is in
            doubt.
        resend: Channels whose deliveries in doubt are sent again in every lane.
        said: The content of the stop lists.
        keep_keys: Keep the keys that are valid in the backup; otherwise all end, because some may
            have been revoked since.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        routes: Routes,
        links: Links,
        settings: Settings,
        planner: Planner,
        *,
        since: datetime,
        mail_log: Iterable[str] | None = None,
        resend: Sequence[str] = (),
        said: Sequence[Change] = (),
        keep_keys: bool = False,
    ) -> None:
        self._db = db
        self._clock = clock
        self._routes = routes
        self._links = links
        self._settings = settings
        self._planner = planner
        self._since = since
        self._lines = mail_log
        self._mail_log: MailLog | None = None
        self._resend = frozenset(resend)
        self._said = said
        self._keep_keys = keep_keys
        self._limit = asyncio.Semaphore(_TOGETHER)

    async def run(self, *, actor: str) -> Reconciled:
        """Record what providers know, then allow workers to send from this database.

        May be repeated after a failure. Workers that are waiting for it may be running.

        Raises:
            Conflict: While workers are sending from this database.
            BadInput: For a backup time in the future.
        """
        if self._since > self._clock.now():
            raise BadInput(
                f"The backup cannot have been made in the future, at {self._since.isoformat()}.",
                remedy="Give the time at which it was begun, with its offset.",
            )
        async with self._db.begin() as connection:
            present = await restored.workers_present(connection)
            if present and await restored.is_home(connection):
                raise Conflict(
                    f"{present} workers are using this database.",
                    remedy="Stop every worker first: what they send now would count as not sent.",
                )
            known_below = await restored.known_below(connection, self._since) * CHUNK_SPAN
            await restored.skip_numbers(connection)
            await restored.free(connection)
            before = await restored.open_work(connection, "deliver")
            plans = await restored.open_work(connection, "plan")
        if self._lines is not None:
            self._mail_log = MailLog(self._lines, known_below=known_below)
        learnt = await self._learn_stops(actor)
        await self._plan(plans)
        async with self._db.begin() as connection:
            chunk_ids = await restored.open_work(connection, "deliver")
        counts: Counter[DeliveryState] = Counter()
        planned = 0
        known = set(before)
        for chunk_id in chunk_ids:
            found = await self._chunk(chunk_id)
            counts += found
            planned += 0 if chunk_id in known else found.total()
        async with self._db.begin() as connection:
            ended = [] if self._keep_keys else await api_keys.end_all(connection, actor=actor)
            persons = [p.name for p in await stored_people.every(connection) if p.ended_at is None]
            await restored.make_home(connection)
            await audit_log.record(
                connection,
                actor,
                "database.reconcile",
                self._since.isoformat(),
                {state.value: n for state, n in counts.items()}
                | {"stops": learnt, "keys_ended": len(ended)},
            )
            going_on = await restored.open_alerts(connection)
        return Reconciled(
            planned,
            counts[DeliveryState.ACCEPTED],
            counts[DeliveryState.FAILED],
            counts[DeliveryState.PLANNED],
            counts[DeliveryState.IN_DOUBT],
            tuple(going_on),
            tuple(ended),
            learnt,
            tuple(persons),
        )

    async def _learn_stops(self, actor: str) -> int:
        """Apply the stop lists. Call it before planning: citizens who unsubscribed after the backup
        must not be notified."""
        async with self._db.begin(patient=True) as connection:
            found = await stops.newer(connection, self._said)
            return await stops.learn(connection, found, actor=actor) if found else 0

    async def _plan(self, plan_ids: Sequence[int]) -> None:
        """Complete open plans: some of their deliveries were planned and sent after the backup."""
        for plan_id in plan_ids:
            work = await self._claim(plan_id)
            if work is not None:
                await self._planner.run(work)

    async def _chunk(self, chunk_id: int) -> Counter[DeliveryState]:
        """Record the outcomes of one chunk and release it; returns the number of its deliveries by
        state."""
        work = await self._claim(chunk_id)
        if work is None:
            return Counter()
        async with self._db.begin() as connection:
            stored = await stored_alerts.get(connection, work.alert_id)
            pending = await deliveries.open_of_chunk(
                connection, work.id, work.size, now=self._clock.now()
            )
        if stored is None:
            return Counter()
        group = Group(from_json(stored.document), stored, work, self._links, self._settings)
        found = await asyncio.gather(*(self._outcome_row(work, group, d) for d in pending))
        changes = [s for s in found if s is not None]
        now = self._clock.now()
        async with self._db.begin() as connection:
            await claims.hold(connection, work, lease_s=_LEASE_S)
            await record_outcomes(connection, changes, now=now)
            await claims.release(connection, work, delay_s=0, cursor=work.cursor)
        states = Counter(s.state if s else DeliveryState.PLANNED for s in found)
        log.info("chunk.reconciled", chunk=work.id, channel=work.channel, count=len(pending))
        return states

    async def _outcome_row(self, work: Work, group: Group, d: OpenDelivery) -> OutcomeRow | None:
        """The outcome of one delivery; None when it was certainly not sent."""
        if self._mail_log is not None and registry.spec(work.channel).in_mail_log:
            taken = self._mail_log.took(d.id, d.endpoint or "")
            if taken is None:
                return self._in_doubt(work, d)
            return _accepted(d, "") if taken else None
        # The text of a digest cannot be rendered again as it was.
        if work.digest:
            return self._in_doubt(work, d)
        message = group.message(Sending(d, Decision(Action.SEND, Reason.NEW)))
        try:
            async with self._limit:
                outcome = await self._routes.look_up(
                    work.channel, d.provider, message, since=self._since
                )
        except CannotLookUp:
            return self._in_doubt(work, d)
        if outcome is None:
            return None
        if outcome.error is None:
            return _accepted(d, outcome.provider_ref)
        return OutcomeRow(
            d.id,
            DeliveryState.FAILED,
            outcome.error.code,
            code=outcome.provider_code,
            provider_ref=outcome.provider_ref,
            tried=1,
        )

    def _in_doubt(self, work: Work, d: OpenDelivery) -> OutcomeRow:
        resend = work.channel in self._resend
        if resend and d.state != DeliveryState.IN_DOUBT:
            return OutcomeRow(d.id, DeliveryState.PLANNED, RESTORED, possible_duplicate=True)
        # A delivery that was in doubt before stays so until it is sent again.
        return OutcomeRow(
            d.id,
            DeliveryState.IN_DOUBT,
            RESTORED,
            possible_duplicate=resend,
            tried=0 if resend else 1,
            attempted_at=None if resend else self._clock.now(),
        )

    async def _claim(self, outbox_id: int) -> Work | None:
        async with self._db.begin() as connection:
            return await queues.claim_one(
                connection, outbox_id, owner="reconcile", lease_s=_LEASE_S
            )


def _accepted(d: OpenDelivery, ref: str) -> OutcomeRow:
    return OutcomeRow(d.id, DeliveryState.ACCEPTED, RESTORED, provider_ref=ref, tried=1)
