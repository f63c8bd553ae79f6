"""The storm brake: alerts of a runaway sender or for a mistaken area wait for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from alerting.domain.alert import Alert, MsgType, Status
from alerting.domain.ground import beyond
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.throttle.hazard import hazard_of
from alerting.throttle.policy.model import Policy, Storm
from alerting.throttle.policy.preauthorised import Preauthorised, shape_of

_HELD = frozenset({MsgType.ALERT, MsgType.UPDATE})


def hold(
    alert: Alert,
    *,
    principal: Principal,
    recent: int = 0,
    usual_per_window: float = 0.0,
    recent_by_key: int = 0,
    usual_by_key: float = 0.0,
    audience: int | None = None,
    policy: Policy,
    lane: Lane,
) -> str | None:
    """Why an alert must wait for a second person, in whole sentences; None when it need not.

    Args:
        recent: Alerts of this sender by this principal that were approved in the last
            `storm.window_s`, without this one.
        usual_per_window: Their average per window over `storm.history_s`; 0 for an unknown sender.
        recent_by_key, usual_by_key: The same for all senders together.
        audience: Citizens in its area; None while nobody has counted them.
    """
    if not may_wait(alert, lane, principal, policy):
        return None
    storm = policy.storm
    reasons = [
        *(
            _too_many("Its sender", recent, usual_per_window, storm)
            or _too_many(principal.actor, recent_by_key, usual_by_key, storm)
        ),
        *_too_wide(audience, storm),
    ]
    return " ".join(reasons) or None


def may_wait(alert: Alert, lane: Lane, principal: Principal, policy: Policy) -> bool:
    """False for alerts that no number of alerts or people holds: a drill, a Cancel, an alert all of
    whose infos end a danger, and a preauthorised Extreme one."""
    if alert.status is not Status.ACTUAL or alert.msg_type not in _HELD:
        return False
    if alert.infos and all(alert.ends_in(info) for info in alert.infos):
        return False
    return lane is not Lane.EXTREME or not preauthorised(alert, principal, policy)


def preauthorised(alert: Alert, principal: Principal, policy: Policy) -> bool:
    """True when this principal's Extreme alerts of these hazards in this area never wait."""
    return any(_names(entry, alert, principal) for entry in policy.storm.preauthorised)


def _names(entry: Preauthorised, alert: Alert, principal: Principal) -> bool:
    if not any(_matches(name, entry.keys) for name in principal.names):
        return False
    if not all(_matches(hazard_of(info), entry.hazards) for info in alert.infos):
        return False
    return not entry.area or not beyond(alert, shape_of(entry.area))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    name = name.casefold()
    return any(fnmatchcase(name, pattern.casefold()) for pattern in patterns)


def _too_many(who: str, recent: int, usual: float, storm: Storm) -> list[str]:
    if recent < storm.at_least or recent < usual * storm.usual_factor:
        return []
    return [
        f"{who} issued {recent:,} alerts in the last {_span(storm.window_s)}, where "
        f"{usual:.1f} are usual."
    ]


def _too_wide(audience: int | None, storm: Storm) -> list[str]:
    if audience is None or audience <= storm.audience_max:
        return []
    return [
        f"It would go to {audience:,} citizens, more than the {storm.audience_max:,} that one "
        "person may alert."
    ]


def _span(seconds: int) -> str:
    for unit, name in ((3600, "hours"), (60, "minutes")):
        if seconds % unit == 0:
            count = seconds // unit
            return name[:-1] if count == 1 else f"{count} {name}"
    return f"{seconds} seconds"
