"""The carriers on free ports of this machine, in the test's own event loop."""

from carriers_fixtures import var

__all__ = ["var"]
