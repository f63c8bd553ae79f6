"""Audience: the citizens an alert's areas hold."""

from alerting.audience.find import find

__all__ = ["find"]
