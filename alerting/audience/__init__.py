"""Audience: the citizens in an alert's areas."""

from alerting.audience.find import anybody, count, find, holds, unknown_codes

__all__ = ["anybody", "count", "find", "holds", "unknown_codes"]
