"""Chaos: a whole system of its own is hurt while an alert goes out, and the carriers judge it."""
