"""The carriers on free ports of this machine, in the test's own event loop."""

from carriers_fixtures import http, pusher, receiver, var, where

__all__ = ["http", "pusher", "receiver", "var", "where"]
