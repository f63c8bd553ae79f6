"""The parameter by which a Cancel made here says that its texts are ours, and which they are.

Our own sentences are read in the citizen's language, whatever languages the alert has.
"""

from __future__ import annotations

from enum import StrEnum

from alerting.domain.alert import Alert, Info, MsgType, NamedValue

_NAME = "alerting:notice"


class Notice(StrEnum):
    CANCELLED = "cancelled"
    FALSE_ALARM = "false-alarm"

    @property
    def parameter(self) -> NamedValue:
        """What an info that bears this notice has among its parameters."""
        return NamedValue(_NAME, self.value)


def notice_in(alert: Alert, info: Info) -> Notice | None:
    """The notice this info is; None for texts that are a sender's own."""
    if alert.msg_type is not MsgType.CANCEL:
        return None
    return next((n for n in Notice if n.parameter in info.parameters), None)
