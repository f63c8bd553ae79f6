"""Evaluation: the questions to the throttle, the facts it needs, and the effects of its answers."""
