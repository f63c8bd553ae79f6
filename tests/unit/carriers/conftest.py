"""The carriers on free ports of this machine, in the test's own event loop."""

from carriers_fixtures import carriers, http, pusher, receiver, var

__all__ = ["carriers", "http", "pusher", "receiver", "var"]
