"""Authority: who may send which alert, and end whose."""

from __future__ import annotations

from alerting.domain.alert import Alert, MsgType
from alerting.domain.principal import Principal
from alerting.errors import Forbidden


def authorise(principal: Principal, alert: Alert) -> None:
    """Let an alert pass only from whom it may come.

    Raises Forbidden, saying why, where the principal does not have the right to submit, does not
    speak for the alert's sender (whoever may end any alert sends the Cancel in its sender's name),
    may not use its status, or where the alert may concern somebody outside the principal's area.
    """
    principal.require("submit")
    speaks = principal.speaks_for(alert.sender) or (
        alert.msg_type is MsgType.CANCEL and principal.may_end(alert.sender)
    )
    if not speaks:
        raise Forbidden(
            f"{principal.actor} does not speak for the sender {alert.sender[:200]}.",
            remedy="Use a key that does: `alerting keys create NAME --sender PATTERN`.",
        )
    _within(principal, alert)


def authorise_approval(principal: Principal, alert: Alert) -> None:
    """Let an alert be approved only by whose business it is. Raises Forbidden, saying why."""
    if not principal.speaks_for(alert.sender):
        raise Forbidden(
            f"{principal.actor} does not approve alerts of the sender {alert.sender[:200]}.",
            remedy="Let somebody approve it who speaks for that sender (`alerting people list`).",
        )
    _within(principal, alert)


def authorise_end(principal: Principal, sender: str) -> None:
    """Let an alert be ended only by its own sender or who may end any. Raises Forbidden."""
    principal.require("submit")
    if not principal.may_end(sender):
        raise Forbidden(
            f"{principal.actor} may not end an alert of {sender[:200]}.",
            remedy="Whoever speaks for that sender may, or who has the right 'end-any' "
            "(`alerting people list`, `alerting keys list`).",
        )


def _within(principal: Principal, alert: Alert) -> None:
    if why := principal.outside(alert):
        raise Forbidden(why, remedy="Let somebody act who may (`alerting people list`).")
