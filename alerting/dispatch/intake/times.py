"""Times: decides whether an alert may be sent now, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerting.cap.plausibility import AHEAD
from alerting.domain.alert import Alert
from alerting.errors import BadInput


def refuse_ahead(alert: Alert, now: datetime) -> None:
    """Raise BadInput for an alert whose `sent` is in the future (`plausibility.AHEAD`)."""
    if alert.sent > now + AHEAD:
        raise BadInput(
            f"The alert's `sent` is in the future: {alert.sent.isoformat()}; here it is "
            f"{now.astimezone(alert.sent.tzinfo).isoformat(timespec='seconds')}.",
            remedy="Correct `sent` and its offset, or submit it with its times moved to now "
            "(--now).",
        )


def sending_ends(alert: Alert, now: datetime, default_expiry_s: float) -> datetime:
    """When sending must stop: the latest `expires`, or the default counted from now without one.

    An info that ends a danger often has an `expires` in the past; it gets the default too.
    """
    default = now + timedelta(seconds=default_expiry_s)
    over = {i.expires for i in alert.infos if alert.ends_in(i) and (i.expires or now) <= now}
    ends = [default if i.expires is None or i.expires in over else i.expires for i in alert.infos]
    return max(ends, default=default)


def expiry(alert: Alert, now: datetime, default_expiry_s: float) -> datetime:
    """When sending must stop, as `sending_ends`.

    Raises:
        BadInput: For an alert that has expired or that has no area.
    """
    expires_at = sending_ends(alert, now, default_expiry_s)
    if expires_at <= now:
        raise BadInput(
            f"The alert expired at {expires_at.isoformat()}; an expired alert is never sent.",
            remedy="Correct `expires`, or submit it with its times moved to now (--now).",
        )
    if not alert.ends and not any(
        a.polygons or a.circles or a.geocodes for i in alert.infos for a in i.areas
    ):
        raise BadInput(
            "No info of this alert has an area with a polygon, circle or geocode, so nobody can "
            "be reached.",
            remedy="Add one.",
        )
    return expires_at
