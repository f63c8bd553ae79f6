"""Actual alerts that call themselves a test.

Only the status says that an alert is a test, and it is never guessed. But these are more often
tests sent as Actual than dangers, so a person should look before citizens do.

Source: FCC 47 CFR 11.31 (event codes), NWS directive 10-1703 (VTEC's product class).
"""

from __future__ import annotations

import re

from alerting.domain.alert import Alert, Info, Status

#: Required weekly and monthly test, national periodic test, practice or demonstration warning.
_CODES = frozenset({"RWT", "RMT", "NPT", "DMO"})

_VTEC = re.compile(r"\s*/T\.")
_WORDS = re.compile(
    r"\bthis is (?:only )?a test\b|\btest message only\b|"
    r"\b(?:required (?:weekly|monthly)|national periodic) test\b",
    re.IGNORECASE,
)
_TEXTS = ("event", "headline", "description", "instruction")


def called_a_test(alert: Alert) -> str:
    """Where an Actual alert says that it is a test, such as `info[1]/eventCode SAME=RWT`; "" when
    it does not, and for an alert that is not Actual."""
    if alert.status is not Status.ACTUAL:
        return ""
    found = ((n, _in(info)) for n, info in enumerate(alert.infos, 1))
    return next((f"info[{n}]/{where}" for n, where in found if where), "")


def _in(info: Info) -> str:
    for code in info.event_codes:
        if code.value.strip().upper() in _CODES:
            return f"eventCode {code}"
    for parameter in info.parameters:
        if "VTEC" in parameter.name.upper() and _VTEC.match(parameter.value):
            return f"parameter {parameter.name} begins with /T."
    for name in _TEXTS:
        words = _WORDS.search(getattr(info, name) or "")
        if words is not None:
            return f"{name} {words[0]!r}"
    return ""
