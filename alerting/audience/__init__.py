"""Audience: the citizens an alert's areas hold."""

from alerting.audience.find import count, find, holds

__all__ = ["count", "find", "holds"]
