"""The audience of an area."""
