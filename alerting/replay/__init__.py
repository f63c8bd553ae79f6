"""Replay: the live path's own decisions over past alerts, on a simulated clock, sending nothing."""
