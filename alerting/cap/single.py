"""Single: the one alert of a document. Whoever submits sends one at a time."""

from __future__ import annotations

from alerting.cap.reader import read
from alerting.cap.refusal import refuse_costly, refuse_large, refuse_unclear
from alerting.domain.alert import Alert
from alerting.errors import BadInput


def read_alert(data: bytes, *, max_bytes: int) -> Alert:
    """The one alert of a document that a person submits. Raises BadInput for what costs too much
    or is not clear."""
    if len(data) <= max_bytes:
        refuse_costly(data)
    alert = read_one(data, max_bytes=max_bytes)
    # Not in `read_one`: the notice that ends an alert of before these rules must pass.
    refuse_large(alert)
    refuse_unclear(alert)
    return alert


def read_one(data: bytes, *, max_bytes: int) -> Alert:
    """The one alert of a document. Raises BadInput."""
    reading = read(data, max_bytes=max_bytes)
    if not reading.alerts:
        raise BadInput(
            "This document holds no alert.",
            remedy="A feed only links to alerts: submit one of the documents it names."
            if reading.links
            else "Submit a CAP alert in XML or JSON.",
        )
    count = len(reading.alerts) + len(reading.refused)
    if count > 1:
        raise BadInput(f"This document holds {count} alerts.", remedy="Submit them one by one.")
    return reading.alerts[0]
