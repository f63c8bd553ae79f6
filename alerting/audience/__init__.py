"""Audience: the citizens an alert's areas hold."""

from alerting.audience.find import anybody, count, find, holds, unknown_codes

__all__ = ["anybody", "count", "find", "holds", "unknown_codes"]
