"""Infos with contradictory values: each is valid CAP, and one of them was not meant."""

from __future__ import annotations

from collections.abc import Iterator

from alerting.cap.findings import Finding
from alerting.cap.rehearsed import called_a_test
from alerting.domain.alert import Alert, Certainty, Info, ResponseType, Severity, Urgency

_TAKE_COVER = (ResponseType.EVACUATE, ResponseType.SHELTER)
_ACT = (*_TAKE_COVER, ResponseType.EXECUTE, ResponseType.AVOID, ResponseType.PREPARE)
_GRAVE = (Severity.EXTREME, Severity.SEVERE)


def contradictions(alert: Alert) -> Iterator[Finding]:
    """The contradictions in an alert and each info, and their effect here."""
    if where := called_a_test(alert):
        yield Finding(
            "warning",
            "status",
            f"It says Actual, and that it is a test ({where}): it waits for a second person.",
            "Did you mean Test or Exercise?",
        )
    for number, info in enumerate(alert.infos, 1):
        for text, remedy in _of(info):
            yield Finding("warning", f"info[{number}]", text, remedy)


def _of(info: Info) -> Iterator[tuple[str, str]]:
    act = next((r for r in _ACT if r in info.response_types), None)
    over = next(
        (
            word
            for word, said in (
                (ResponseType.ALL_CLEAR, ResponseType.ALL_CLEAR in info.response_types),
                ("urgency Past", info.urgency is Urgency.PAST),
            )
            if said
        ),
        None,
    )
    if act in _TAKE_COVER and over:
        yield (
            f"It says {act} and {over}: it is taken for the end of the danger.",
            f"Take out {act}, or correct {over}.",
        )
    elif act in _TAKE_COVER and info.urgency is Urgency.IMMEDIATE and info.severity not in _GRAVE:
        yield (
            f"It says {act} and Immediate, and severity {info.severity}: below Severe it waits "
            "for quiet hours to end.",
            "Did you mean Severe or Extreme?",
        )
    if act and ResponseType.NONE in info.response_types:
        yield f"It says {act} and None.", "Take out one of them."
    immediate = info.urgency is Urgency.IMMEDIATE and info.severity in _GRAVE
    if immediate and info.certainty is Certainty.UNLIKELY:
        yield (
            f"It says {info.severity} and Immediate, and certainty Unlikely.",
            "Did you mean Likely or Possible?",
        )
