"""Compose: the messages of one chunk; each text is rendered once for all citizens who share it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from alerting.channels import registry
from alerting.channels.base import Outgoing, Rendering
from alerting.channels.render import render
from alerting.channels.render_digest import Part, render_digest
from alerting.dispatch.evaluation.chunk_evaluator import Sending
from alerting.domain.alert import Alert
from alerting.domain.decision import Reason
from alerting.domain.info_selection import info_for
from alerting.domain.lane import Lane
from alerting.domain.links import Links, Purpose
from alerting.settings import Settings
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.ledger.digests import Carried
from alerting.store.work.outbox import Work


class Texts:
    """Renderings of alerts, cached for all chunks of one process; an alert never changes."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Rendering] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Rendering]) -> Rendering:
        """The cached rendering for this key, else the result of `make`."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = make()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found


class Group:
    """Creates the messages of one chunk: one rendering per info, area, language and time zone.

    Args:
        texts: The cache of renderings shared with other chunks.
        digests: For a chunk of digests, what each delivery carries.
        alerts: The alerts of those digests.
        codes: Their codes for short links.
        passes: For a chunk of a drill, the passes of its addresses.
    """

    def __init__(
        self,
        alert: Alert,
        stored: StoredAlert,
        work: Work,
        links: Links,
        settings: Settings,
        *,
        texts: Texts | None = None,
        digests: Mapping[int, Sequence[Carried]] | None = None,
        alerts: Mapping[UUID, Alert] | None = None,
        codes: Mapping[UUID, str | None] | None = None,
        passes: Mapping[int, bytes] | None = None,
    ) -> None:
        self._alert = alert
        self._stored = stored
        self._work = work
        self._leave_link = registry.spec(work.channel).leave_link
        self._links = links
        self._settings = settings
        self._digests = digests or {}
        self._alerts = alerts or {}
        self._codes = {stored.id: stored.code, **(codes or {})}
        self._passes = passes or {}
        self._drill = alert.is_drill
        self._texts = texts or Texts()
        #: By info number.
        self._ends: dict[int, datetime] = {}

    def says_nothing(self, d: OpenDelivery) -> bool:
        """True for a digest all of whose items were revoked since it was created."""
        return self._work.digest and not self._digests.get(d.id)

    def message(self, sending: Sending) -> Outgoing:
        """The message for one delivery. The end of a danger is less intrusive than the danger."""
        d = sending.delivery
        ended = sending.decision.reason in {Reason.ENDED, Reason.PARTLY_ENDED}
        drill = self._drill or (self._work.digest and self._carries_drill(d))
        purpose = Purpose.DRILL if drill else Purpose.LEAVE
        return Outgoing(
            delivery_id=d.id,
            endpoint=d.endpoint or "",
            rendering=self._rendering(d, still=sending.decision.reason is Reason.PARTLY_ENDED),
            lane=Lane.ROUTINE if ended and self._work.lane is not Lane.DRILL else self._work.lane,
            # Neither another sender's alert of the same danger nor a later digest replaces it.
            thread=f"digest {d.id}" if self._work.digest else str(self._stored.thread_id),
            valid_until=self._valid_until(d.info_no),
            # Signing one for each costs, and few channels have room for the link.
            unsubscribe_token=(
                self._links.token(d.address_id, purpose) if self._leave_link else ""
            ),
            keys=d.keys or {},
            silent=sending.silent,
            drill=drill,
            drill_pass=self._passes.get(d.address_id, b""),
        )

    def _valid_until(self, info_no: int) -> datetime:
        """Until when the message is valid, which may be before the end of the alert."""
        found = self._ends.get(info_no)
        if found is None:
            found = self._stored.expires_at
            info = None if self._work.digest else info_for(self._alert, info_no)
            if info is not None and info.expires is not None and not self._alert.ends_in(info):
                found = min(found, info.expires)
            self._ends[info_no] = found
        return found

    def _carries_drill(self, d: OpenDelivery) -> bool:
        return any(self._alerts[c.alert_id].is_drill for c in self._digests.get(d.id, ()))

    def _rendering(self, d: OpenDelivery, *, still: bool) -> Rendering:
        carried = tuple(self._digests.get(d.id, ()))
        part: Hashable = carried or (self._stored.id, d.info_no, d.area_no, still)
        return self._texts.get(
            (part, self._work.channel, d.language, d.time_zone),
            lambda: self._made(d, carried, still=still),
        )

    def _made(self, d: OpenDelivery, carried: Sequence[Carried], *, still: bool) -> Rendering:
        if carried:
            parts = [
                Part(self._alerts[c.alert_id], c.info_no, c.area_no, self._link(c.alert_id))
                for c in carried
            ]
            return render_digest(
                parts, channel=self._work.channel, language=d.language, time_zone=d.time_zone
            )
        return render(
            self._alert,
            info_no=d.info_no,
            area_no=d.area_no,
            channel=self._work.channel,
            language=d.language,
            link=self._link(self._stored.id),
            still=still,
            time_zone=d.time_zone,
        )

    def _link(self, alert_id: UUID) -> str:
        """The page that shows an alert to those who may see it: everybody, or holders of its
        own link."""
        alert = self._alert if alert_id == self._stored.id else self._alerts[alert_id]
        long = f"a/{alert_id}" if alert.for_public else f"x/{self._links.page(alert_id)}"
        return f"{self._settings.public_url}/{self._codes.get(alert_id) or long}"
