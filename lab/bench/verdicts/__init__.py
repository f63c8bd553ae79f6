"""Verdicts of the attention budget."""
