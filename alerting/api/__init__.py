"""REST: the way in for centres' own systems and for providers' reports."""

from alerting.api.app import create_app

__all__ = ["create_app"]
