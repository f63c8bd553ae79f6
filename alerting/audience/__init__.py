"""Audience: the citizens in an alert's areas."""

from alerting.audience.find import FEW, at_least, count, find, holds, unknown_codes

__all__ = ["FEW", "at_least", "count", "find", "holds", "unknown_codes"]
