"""Audience: the citizens an alert's areas hold."""

from alerting.audience.find import count, find

__all__ = ["count", "find"]
