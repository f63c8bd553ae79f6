"""What a provider's later report says of a delivery, for every channel whose provider reports."""

from __future__ import annotations

from alerting.channels import registry
from alerting.channels.spec import Report

__all__ = ["Report", "read"]


def read(channel: str, status: str, code: str) -> Report | None:
    """The report in this system's words; None for one that says nothing of delivery, also for one
    of a channel that this release does not have."""
    if channel not in registry.names():
        return None
    read_report = registry.spec(channel).read_report
    return read_report(status, code) if read_report is not None else None
