"""Compose: the messages of one chunk, each text rendered once for all citizens who share it."""

from __future__ import annotations

from alerting.channels.base import Outgoing, Rendering
from alerting.channels.render import render
from alerting.domain.alert import Alert
from alerting.domain.links import Links
from alerting.settings import Settings
from alerting.store.alerts import StoredAlert
from alerting.store.deliveries import OpenDelivery
from alerting.store.outbox import Work


class Group:
    """Makes the messages of one chunk; one Rendering per info, area and language."""

    def __init__(
        self, alert: Alert, stored: StoredAlert, work: Work, links: Links, settings: Settings
    ) -> None:
        self._alert = alert
        self._stored = stored
        self._work = work
        self._links = links
        self._link = f"{settings.public_url}/a/{stored.id}"
        self._renderings: dict[tuple[int, int, str], Rendering] = {}

    def message(self, d: OpenDelivery) -> Outgoing:
        """The message for one delivery."""
        key = (d.info_no, d.area_no, d.language)
        rendering = self._renderings.get(key)
        if rendering is None:
            rendering = self._renderings[key] = render(
                self._alert,
                info_no=d.info_no,
                area_no=d.area_no,
                channel=self._work.channel,
                language=d.language,
                link=self._link,
            )
        return Outgoing(
            delivery_id=d.id,
            endpoint=d.endpoint or "",
            rendering=rendering,
            lane=self._work.lane,
            thread=str(self._stored.thread_id),
            valid_until=self._stored.expires_at,
            unsubscribe_token=self._links.token(d.address_id),
            keys=d.keys or {},
        )
