"""Night: what was decided by day and is late must not interrupt at night.

A digest goes out at its slot and a second channel follows the first, neither judged anew. Where a
provider was away or a worker died in between, that may be hours later.
"""

from __future__ import annotations

from datetime import datetime

from alerting.domain.alert import Alert, MsgType, Status
from alerting.domain.decision import Decision, Reason, Verdict
from alerting.store.deliveries import OpenDelivery
from alerting.throttle.gate import GRAVE
from alerting.throttle.policy.parse import Policy
from alerting.throttle.quiet import quiet_until


def not_at_night(
    alert: Alert,
    d: OpenDelivery,
    decision: Decision,
    *,
    now: datetime,
    expires_at: datetime,
    policy: Policy,
    can_be_silent: bool,
) -> Decision:
    """The decision, held until the citizen's quiet hours are over where it would interrupt them.

    What is grave, a drill or the end of a danger waits for nothing. What would expire meanwhile
    goes out silently where it can.
    """
    if decision.verdict is not Verdict.SEND or _at_any_hour(alert, d.info_no):
        return decision
    until = quiet_until(now, zone=d.time_zone, start=d.quiet_from, end=d.quiet_to, policy=policy)
    if until is None:
        return decision
    if expires_at <= until and can_be_silent:
        return Decision(Verdict.SILENT, decision.reason)
    return Decision(Verdict.DEFER, Reason.QUIET_HOURS, min(until, expires_at))


def _at_any_hour(alert: Alert, info_no: int) -> bool:
    if alert.status is not Status.ACTUAL or alert.msg_type is MsgType.CANCEL:
        return True
    if not 0 <= info_no < len(alert.infos):
        return False
    info = alert.infos[info_no]
    return info.severity in GRAVE or info.ends_danger
