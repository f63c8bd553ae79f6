"""The parameter that marks the texts of a Cancel made here as ours.

Our own sentences are shown in the citizen's language, whatever languages the alert has.
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
        """The parameters of an info with this notice."""
        return NamedValue(_NAME, self.value)


def notice_in(alert: Alert, info: Info) -> Notice | None:
    """The notice of this info; None for a sender's own texts."""
    if alert.msg_type is not MsgType.CANCEL:
        return None
    return next((n for n in Notice if n.parameter in info.parameters), None)
