"""The storm brake: a runaway sender or a mistaken area waits for a second person."""

from __future__ import annotations

from fnmatch import fnmatchcase

from alerting.domain.alert import Alert, MsgType, Status
from alerting.domain.lane import Lane
from alerting.throttle.policy.model import Policy, Storm

_HELD = frozenset({MsgType.ALERT, MsgType.UPDATE})


def hold(
    alert: Alert,
    *,
    recent: int,
    usual_per_window: float,
    audience: int | None,
    policy: Policy,
    lane: Lane,
) -> str | None:
    """Why an alert must wait for a second person, in whole sentences; None where it must not.

    recent: alerts of this sender in the last `storm.window_s`, this one not counted.
    usual_per_window: its average per window over `storm.history_s`; 0 for a sender never seen.
    audience: citizens in its area; None while nobody has counted them.

    A drill never waits, nor does a Cancel or an alert that ends any danger, nor an Extreme one
    from a preauthorised sender.
    """
    storm = policy.storm
    if alert.status is not Status.ACTUAL or alert.msg_type not in _HELD:
        return None
    if any(info.ends_danger for info in alert.infos):
        return None
    if lane is Lane.EXTREME and preauthorised(alert.sender, policy):
        return None
    reasons = [
        *_too_many(recent, usual_per_window, storm),
        *_too_wide(audience, storm),
    ]
    return " ".join(reasons) or None


def preauthorised(sender: str, policy: Policy) -> bool:
    """True when the sender's Extreme alerts never wait; case does not count."""
    name = sender.casefold()
    return any(fnmatchcase(name, p.casefold()) for p in policy.storm.preauthorised)


def _too_many(recent: int, usual: float, storm: Storm) -> list[str]:
    if recent < storm.at_least or recent < usual * storm.usual_factor:
        return []
    return [
        f"Its sender issued {recent:,} alerts in the last {_span(storm.window_s)}, where "
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
