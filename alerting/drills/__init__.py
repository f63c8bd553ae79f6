"""Drills: who takes part, and the walls that keep everybody else out (docs/drills.md)."""
