"""How many alerts of a trace would have waited for a second person.

See `alerting.dispatch.judging.storm`.

The replay lets them go at once: when that person would have answered, nobody knows.
"""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import datetime, timedelta

from alerting.domain.alert import Alert, Status
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.throttle.brake import hold
from alerting.throttle.policy.parse import Policy


class Brake:
    """Counts each sender's alerts as they are submitted.

    A trace knows no keys: each sender is taken for a machine with a key of the sender's name.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._issued: dict[str, deque[datetime]] = defaultdict(deque)

    def holds(self, alert: Alert, lane: Lane, *, audience: int) -> bool:
        """True where the alert would have waited; notes it for the next ones."""
        storm, now = self._policy.storm, alert.sent
        issued = self._issued[alert.sender]
        while issued and issued[0] < now - timedelta(seconds=storm.history_s):
            issued.popleft()
        window_at = now - timedelta(seconds=storm.window_s)
        recent = 0
        for at in reversed(issued):
            if at < window_at:
                break
            recent += at < now
        before = sum(at < window_at for at in issued) if recent >= storm.at_least else 0
        if alert.status is Status.ACTUAL:
            issued.append(now)
        windows = max(1.0, (storm.history_s - storm.window_s) / storm.window_s)
        why = hold(
            alert,
            principal=Principal(f"key:{alert.sender}"),
            recent=recent,
            usual_per_window=before / windows,
            audience=audience,
            policy=self._policy,
            lane=lane,
        )
        return why is not None
